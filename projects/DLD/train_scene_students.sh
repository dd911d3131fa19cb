#!/usr/bin/env bash
# What distilling the detector's outputs adds to SKD, for each spotter, on synthetic scenes (docs/results.md): students at two
# scales with two seeds, each 200 iterations of four scenes, on the CPU, in one process. Results that are there are kept, so
# that a second call goes on. Then
#   python projects/DLD/report/compare_methods.py projects/DLD/report/scenes.yaml --limit 300
# reads with all of them, and mango.yaml with MANGO's.
#
#   bash projects/DLD/train_scene_students.sh [KEY VALUE ...]
#
# It begins in output/recipes/roi_spotter and draws on the scenes, both of projects/DLD/train_recipes.sh.
# SPOTTER=mask_rcnn, SPOTTER=text_perceptron or SPOTTER=mango does a part of the work. One of the first two takes about 40
# minutes of a core, MANGO's teacher alone 53.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python="${PYTHON:-.venv/bin/python}"
students=output/recipes/scene_students
start=output/recipes/roi_spotter/model_final.pth
export OMP_NUM_THREADS="${THREADS:-1}"
common=(MODEL.DEVICE cpu DATASETS.TEST "()" "$@")

train() { # folder; config, its overlay; options
    [[ -e "$students/$1/model_final.pth" ]] || "$python" projects/DLD/train_net.py --resume --num-gpus 1 \
        --config-file "configs/$2" "configs/$3" configs/recipes/scene_student.yaml OUTPUT_DIR "$students/$1" "${@:4}" "${common[@]}"
}

teach() { # spotter; its config; iterations
    train "$1/teacher" "$2" Light.yaml MODEL.WEIGHTS "$start" SOLVER.MAX_ITER "$3" SOLVER.BASE_LR 0.001 \
        SOLVER.WARMUP_ITERS 50 INPUT.MIN_SIZE_TRAIN "(192, 256, 320, 384)"
}

learn() { # spotter; its config; teacher; the weight of detection
    for seed in 1 2; do
        for scale in 0.5 0.3; do
            at=(MODEL.WEIGHTS "$3" MODEL.DLD.SCALES "($scale,)" MODEL.DLD.COSTS "($scale,)" SEED "$seed")
            train "$1/skd_${scale}_$seed" "$2" DLD/Light.yaml "${at[@]}"
            train "$1/skd_and_detection_${scale}_$seed" "$2" DLD/Light.yaml "${at[@]}" MODEL.DLD.ETA_DETECTION "$4"
        done
    done
}

mask_rcnn() {
    learn mask_rcnn DLD/SKD-only_R50.yaml "$start" 1.0
}

text_perceptron() {
    teach text_perceptron TextPerceptron_R50.yaml 600
    learn text_perceptron DLD/TextPerceptron_DLD_R50.yaml "$students/text_perceptron/teacher/model_final.pth" 0.5
}

mango() {
    teach mango MANGO_R50.yaml 800
    learn mango DLD/MANGO_DLD_R50.yaml "$students/mango/teacher/model_final.pth" 0.5
}

case "${SPOTTER:-}" in
    "")
        mask_rcnn
        text_perceptron
        mango
        ;;
    *) "$SPOTTER" ;;
esac
