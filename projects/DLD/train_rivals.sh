#!/usr/bin/env bash
# The paper's Tables 2 and 3 at the light size: students of half the resolution that differ in their losses alone. All start
# from the teacher of projects/DLD/train_synthetic.sh, which comes first, and take 200 steps of 4 scenes; two seeds, one for
# each loss alone. A run that is there is skipped, one that was interrupted goes on.
#
#   bash projects/DLD/train_rivals.sh [MODEL.DEVICE cuda]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python="${PYTHON:-.venv/bin/python}"
export OMP_NUM_THREADS="${THREADS:-1}"
options=("$@")
[[ " ${options[*]-} " =~ " MODEL.DEVICE " ]] || options+=(MODEL.DEVICE cpu)

train() { # config, output folder; options
    [[ -e "output/synthetic/$2/model_final.pth" ]] || "$python" projects/DLD/train_net.py --resume \
        --config-file "configs/synthetic/$1.yaml" OUTPUT_DIR "output/synthetic/$2" "${options[@]}" "${@:3}"
}

train 6_PyramidFusion 6_pyramid_fusion
student() { # seed, config, name of the row; options
    train "$2" "rivals/$3_$1" SEED "$1" SOLVER.MAX_ITER 200 DATASETS.TEST "()" "${@:4}"
}
for seed in 1 2; do
    student "$seed" Base-Half skd
    student "$seed" 7_Bhunia bhunia
    student "$seed" 7_SKD-logits skd_logits
    student "$seed" 7_Qi qi
    student "$seed" 7_SKD_Qi skd_qi
    student "$seed" 7_Vanilla_0.5 none MODEL.WEIGHTS output/synthetic/6_teacher/model_final.pth
done
student 1 Base-Half roi MODEL.DLD.ETA_CONTEXT 0.0 MODEL.DLD.ETA_SEQUENCE 0.0
student 1 Base-Half context MODEL.DLD.ETA_ROI 0.0 MODEL.DLD.ETA_SEQUENCE 0.0
student 1 Base-Half sequence MODEL.DLD.ETA_ROI 0.0 MODEL.DLD.ETA_CONTEXT 0.0
