#!/usr/bin/env bash
# What distilling the detector's outputs adds to SKD, for each spotter (docs/results.md): light students at two scales with two
# seeds, each 200 iterations of four images, on the CPU, in one process. Results that are there are kept, so that a second call
# goes on. Then
#   python projects/DLD/report/compare_methods.py projects/DLD/report/light_scenes.yaml --limit 300
# reads with all of them; mango_scenes.yaml, light_photos.yaml and mango_photos.yaml have the others.
#
#   DATA=scenes bash projects/DLD/train_light_students.sh [KEY VALUE ...]
#
# It begins in output/recipes/roi_spotter and draws on the scenes, both of projects/DLD/train_recipes.sh. SPOTTER=mask_rcnn,
# SPOTTER=text_perceptron or SPOTTER=mango and SEEDS=1 or SEEDS=2 do a part of the work. DATA=photos teaches the last two photos, which
# projects/DLD/train_photo_students.sh prepares; their teachers begin in those of scenes. A spotter takes about an hour of a core.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
data="${DATA:?set DATA to scenes or photos}"

python="${PYTHON:-.venv/bin/python}"
students=output/recipes/light_students
start=output/recipes/roi_spotter/model_final.pth
export OMP_NUM_THREADS="${THREADS:-1}"
common=(MODEL.DEVICE cpu DATASETS.TEST "()" "$@")

# Photos are larger, and their words smaller; crops keep a step as fast.
photos=(
    DATASETS.TRAIN "('photos_icdar2015', 'photos_icdar2003')"
    INPUT.WORD_CROP.ENABLED True
    INPUT.WORD_CROP.PROBABILITY 0.8
    INPUT.WORD_CROP.MIN_RATIO 0.3
    INPUT.ROTATION 7.0
)

train() { # folder; config, its overlay; options
    [[ -e "$students/$1/model_final.pth" ]] || "$python" projects/DLD/train_net.py --resume --num-gpus 1 \
        --config-file "configs/$2" "configs/$3" configs/recipes/light_student.yaml OUTPUT_DIR "$students/$1" "${@:4}" "${common[@]}"
}

teach() { # spotter; its config; iterations on scenes, and on photos
    schedule=(SOLVER.BASE_LR 0.001 SOLVER.WARMUP_ITERS 50)
    train "scenes/$1/teacher" "$2" Light.yaml MODEL.WEIGHTS "$start" SOLVER.MAX_ITER "$3" "${schedule[@]}" \
        INPUT.MIN_SIZE_TRAIN "(192, 256, 320, 384)"
    [[ "$data" == scenes ]] || train "photos/$1/teacher" "$2" Light.yaml SOLVER.MAX_ITER "$4" "${schedule[@]}" "${photos[@]}" \
        MODEL.WEIGHTS "$students/scenes/$1/teacher/model_final.pth" INPUT.MIN_SIZE_TRAIN "(256, 320, 384, 448, 512, 640)"
}

learn() { # spotter; its config; teacher; the weight of detection
    options=()
    [[ "$data" == scenes ]] || options=("${photos[@]}" INPUT.MIN_SIZE_TRAIN "(384, 512, 640)")
    for seed in ${SEEDS:-1 2}; do
        for scale in 0.5 0.3; do
            at=("${options[@]}" MODEL.WEIGHTS "$3" MODEL.DLD.SCALES "($scale,)" MODEL.DLD.COSTS "($scale,)" SEED "$seed")
            train "$data/$1/skd_${scale}_$seed" "$2" DLD/Light.yaml "${at[@]}"
            train "$data/$1/skd_and_detection_${scale}_$seed" "$2" DLD/Light.yaml "${at[@]}" MODEL.DLD.ETA_DETECTION "$4"
        done
    done
}

# On photos, projects/DLD/train_photo_students.sh does this with the photos model.
mask_rcnn() {
    [[ "$data" == photos ]] || learn mask_rcnn DLD/SKD-only_R50.yaml "$start" 1.0
}

text_perceptron() {
    teach text_perceptron TextPerceptron_R50.yaml 600 600
    learn text_perceptron DLD/TextPerceptron_DLD_R50.yaml "$students/$data/text_perceptron/teacher/model_final.pth" 0.5
}

mango() {
    teach mango MANGO_R50.yaml 800 400
    learn mango DLD/MANGO_DLD_R50.yaml "$students/$data/mango/teacher/model_final.pth" 0.5
}

case "${SPOTTER:-}" in
    "")
        mask_rcnn
        text_perceptron
        mango
        ;;
    *) "$SPOTTER" ;;
esac
