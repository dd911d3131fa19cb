#!/usr/bin/env bash
# The students of docs/results.md that learn from the photos model: the rows of the paper's section 4.2, and what a teacher is
# worth where only 100 photos have labels. Each is 200 iterations of four photos, on the CPU, in one process. Results that are
# there are kept, so that a second call goes on. Then projects/DLD/report/compare_methods.py reads with all of them.
#
#   PHOTOS=photo_sets PP_OCR_MODELS=rapidocr_files/rapidocr/models bash projects/DLD/train_photo_students.sh [KEY VALUE ...]
#
# projects/DLD/train_recipes.sh says what PHOTOS and PP_OCR_MODELS are. PART=rows, PART=detection or PART=few does a part of the work.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${PHOTOS:?set PHOTOS to a folder with icdar2015_train and icdar2003_train}"

python="${PYTHON:-.venv/bin/python}"
photos=datasets/photos
sources=datasets/synthetic_sources
students=output/recipes/photos_students
export OMP_NUM_THREADS="${THREADS:-1}"
common=(MODEL.DEVICE cpu SOLVER.MAX_ITER 200 DATASETS.TEST "()" "$@")
half=(MODEL.DLD.SCALES "(0.5,)" MODEL.DLD.COSTS "(0.4361,)")
alone=(MODEL.DLD.TEACHER False MODEL.DLD.LAMBDA_SKD 0.0)

train() { # name; options
    [[ -e "$students/$1/model_final.pth" ]] || "$python" projects/DLD/train_net.py --resume --num-gpus 1 \
        --config-file configs/recipes/photos_student.yaml OUTPUT_DIR "$students/$1" "${common[@]}" "${@:2}"
}

fit() { # student
    [[ -e "$students/$1/selector/gamma0.3.pth" ]] || "$python" tools/fit_selector.py --by spotting --limit 240 \
        --data-set photos_selection --batch-size 1 --held-out 0.1 --gammas 0.1 0.3 --output "$students/$1/selector" \
        --config-file configs/recipes/photos_dld.yaml MODEL.PP_LCNET_READER.FULL_RESOLUTION False MODEL.DEVICE cpu \
        MODEL.WEIGHTS "$students/$1/model_final.pth"
}

[[ -e "$photos/icdar2003_dev.json" ]] || "$python" projects/DLD/prepare_photos.py --icdar2015 "$PHOTOS/icdar2015_train" \
    --icdar2003 "$PHOTOS/icdar2003_train" --output "$photos"
mkdir -p "$students" "$sources"
[[ -e output/recipes/photos.pth ]] || cp dld_spotter/pretrained/photos/model.pth output/recipes/photos.pth

rows() {
    train half_alone "${half[@]}" "${alone[@]}"
    train skd_0.5_1 "${half[@]}"
    train half_skd_pyramid "${half[@]}" MODEL.DLD.ETA_PYRAMID 0.6
    train any_alone "${alone[@]}"
    train any_skd
    fit any_alone
    fit any_skd
}

# What the distillation of the detector's outputs adds to SKD, at two scales and with two seeds.
detection() {
    for seed in 1 2; do
        for scale in 0.5 0.3; do
            at=(MODEL.DLD.SCALES "($scale,)" MODEL.DLD.COSTS "($scale,)" SEED "$seed")
            train "skd_${scale}_$seed" "${at[@]}"
            train "skd_and_detection_${scale}_$seed" "${at[@]}" MODEL.DLD.ETA_DETECTION 1.0
        done
    done
}

# The teacher reads the photos without labels: words that it is sure of, and regions that do not count. The students start from
# the detector of synthetic scenes and the untrained recogniser of PP-OCRv6, which saw none of these photos. Of three photos in
# a batch, one has labels.
few() {
    ln -sfn "$(realpath "$PHOTOS/photos_without_text_labels/images")" "$photos/unlabelled"
    [[ -e "$photos/unlabelled_words.json" ]] || "$python" tools/label_photos.py --config-file photos --sure 0.8 \
        --doubtful 0.4 --input "$photos/unlabelled" --output "$photos/unlabelled_words.json"
    [[ -e "$sources/recogniser_ctc.pth" ]] || "$python" tools/convert_pp_ocr.py \
        "${PP_OCR_MODELS:?set PP_OCR_MODELS}/PP-OCRv6_rec_small.onnx" \
        "$sources/recogniser_ctc.pth" --source "rapidocr 3.10.0" --recogniser \
        --opts MODEL.TEXT.CHARSET printable95 MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION "(12, 32)" \
        MODEL.PIXEL_MEAN "[123.675, 116.28, 103.53]" MODEL.PIXEL_STD "[58.395, 57.12, 57.375]"
    [[ -e "$students/start.pth" ]] || "$python" tools/swap_reader.py dld_spotter/pretrained/synthetic/model.pth \
        "$sources/recogniser_ctc.pth" "$students/start.pth"
    few=("${half[@]}" MODEL.WEIGHTS "$students/start.pth")
    taught=(MODEL.DLD.TEACHER_WEIGHTS output/recipes/photos.pth)
    for seed in 1 2; do
        train "few_alone_$seed" "${few[@]}" "${alone[@]}" SEED "$seed" DATASETS.TRAIN "('photos_few',)"
        train "few_skd_$seed" "${few[@]}" "${taught[@]}" SEED "$seed" \
            DATASETS.TRAIN "($(printf "'photos_few', %.0s" {1..8})'photos_unlabelled_words')"
    done
}

case "${PART:-}" in
    "")
        rows
        detection
        few
        ;;
    *) "$PART" ;;
esac
