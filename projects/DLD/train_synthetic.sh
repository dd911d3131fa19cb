#!/usr/bin/env bash
# From nothing to weights like those that come with the project: fonts and words, drawn scenes, and the three stages of
# configs/synthetic (the shipped ones stopped the first stage after 1,000 iterations). Each step is skipped when its result is there, and a stage that was interrupted goes on where it stopped.
#
#   bash projects/DLD/train_synthetic.sh                      all of it, on the CPU
#   THREADS=8 bash projects/DLD/train_synthetic.sh            with so many threads
#   bash projects/DLD/train_synthetic.sh MODEL.DEVICE cuda    on a GPU; config options go to every stage
#
# The backbone starts from the small text detector of PP-OCRv6, which the package rapidocr (Apache-2.0) holds. Get it with
#   pip install onnx && pip install --no-deps --target rapidocr_files rapidocr==3.10.0
# and set PP_OCR_ONNX to rapidocr_files/rapidocr/models/PP-OCRv6_det_small.onnx.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python="${PYTHON:-.venv/bin/python}"
data=datasets/synthetic
sources=datasets/synthetic_sources
export OMP_NUM_THREADS="${THREADS:-1}"
options=("$@")
if [[ ! " ${options[*]-} " =~ " MODEL.DEVICE " ]]; then options+=(MODEL.DEVICE cpu); fi

draw() { # folder, split, style, seed, number of scenes
    [[ -e "$data/$1/scenes.json" ]] || "$python" tools/make_synthetic.py --sources "$sources" --output "$data/$1" \
        --split "$2" --style "$3" --seed "$4" --count "$5"
}

train() { # config, output folder
    [[ -e "output/synthetic/$2/model_final.pth" ]] || "$python" projects/DLD/train_net.py --resume \
        --config-file "configs/synthetic/$1.yaml" "${options[@]}"
}

[[ -e "$sources/LICENCES.txt" ]] || "$python" tools/fetch_fonts.py --output "$sources"
[[ -e "$sources/pp_lcnet.pth" ]] || "$python" tools/convert_pp_ocr.py \
    "${PP_OCR_ONNX:?set it to the path of PP-OCRv6_det_small.onnx}" "$sources/pp_lcnet.pth" --source "rapidocr 3.10.0"
draw reading train reading 0 2400
draw train train scenes 1 3000
draw test test scenes 2 500

train 1_Reading 1_reading
train 2_Teacher 2_teacher
train 3_DLD_gamma0.1 3_dld_gamma0.1
train 3_DLD_gamma0.3 3_dld_gamma0.3
