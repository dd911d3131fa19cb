#!/usr/bin/env bash
# From nothing to weights like those that come with the project: fonts and words, synthetic scenes, and the recipes of
# configs/recipes in their order. Each step is skipped when its result is there, and a training that was interrupted goes
# on where it stopped.
#
#   bash projects/DLD/train_recipes.sh                      all of it, on the CPU, in two processes
#   PROCESSES=8 bash projects/DLD/train_recipes.sh          in so many; of each one thread
#   bash projects/DLD/train_recipes.sh MODEL.DEVICE cuda    on one GPU; config options go to every training
#   REHEARSAL=1 bash projects/DLD/train_recipes.sh          whether every step works: few scenes, two iterations each
#
# The backbone starts from the small text detector of PP-OCRv6, and the crop-based recogniser from its small recogniser;
# the package rapidocr (Apache-2.0) holds both. Get them with
#   pip install onnx && pip install --no-deps --target rapidocr_files rapidocr==3.10.0
# and set PP_OCR_MODELS to rapidocr_files/rapidocr/models.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python="${PYTHON:-.venv/bin/python}"
data=datasets/synthetic
sources=datasets/synthetic_sources
export OMP_NUM_THREADS="${THREADS:-1}"
options=("$@")
if [[ " ${options[*]-} " =~ " MODEL.DEVICE " ]]; then
    processes="${PROCESSES:-1}" # --num-gpus asks for as many GPUs
else
    options+=(MODEL.DEVICE cpu)
    processes="${PROCESSES:-2}"
fi

share=1
small_fit=()
if [[ "${REHEARSAL:-}" ]]; then
    share=200
    small_fit=(--limit 12 --iterations 10)
    options+=(SOLVER.MAX_ITER 2 SOLVER.WARMUP_ITERS 1)
fi

draw() { # folder, split, style, seed, number of scenes; options
    [[ -e "$data/$1/scenes.json" ]] || "$python" tools/make_synthetic.py --sources "$sources" --output "$data/$1" \
        --split "$2" --style "$3" --seed "$4" --count "$(($5 / share))" "${@:6}"
}

train() { # recipe; number of processes
    [[ -e "output/recipes/$1/model_final.pth" ]] || "$python" projects/DLD/train_net.py --resume \
        --num-gpus "${2:-$processes}" --config-file "configs/recipes/$1.yaml" "${options[@]}"
}

[[ -e "$sources/LICENCES.txt" ]] || "$python" tools/fetch_fonts.py --output "$sources"
grep -qs "^@expo-google-fonts/" "$sources/LICENCES.txt" || "$python" tools/fetch_fonts.py --output "$sources" --web-fonts
models="${PP_OCR_MODELS:-}"
[[ -e "$sources/pp_lcnet.pth" ]] || "$python" tools/convert_pp_ocr.py \
    "${models:?set PP_OCR_MODELS}/PP-OCRv6_det_small.onnx" "$sources/pp_lcnet.pth" --source "rapidocr 3.10.0"
[[ -e "$sources/recogniser.pth" ]] || "$python" tools/convert_pp_ocr.py \
    "${models:?set PP_OCR_MODELS}/PP-OCRv6_rec_small.onnx" "$sources/recogniser.pth" --source "rapidocr 3.10.0" --reader \
    --opts MODEL.PIXEL_MEAN "[123.675, 116.28, 103.53]" MODEL.PIXEL_STD "[58.395, 57.12, 57.375]"
draw pages_clean train reading 0 2400
draw scenes train scenes 1 3000
draw scenes_test test scenes 2 500
draw pages_worn train dense 4 5000
draw pages_varied train varied 6 7000 --fonts "$sources/web_fonts"
draw scenes_web_fonts train scenes 7 3000 --fonts "$sources/web_fonts"
draw scenes_selector train scenes 8 2000 --fonts "$sources/web_fonts"

# The spotter with the RoI-feature recogniser, and its student: paper-dld. The training of the student goes on from a selector
# that is fitted to what its teacher reads.
for recipe in roi_recogniser_1 roi_spotter_1 roi_recogniser_2 roi_spotter_2 roi_recogniser_3 roi_spotter; do
    train "$recipe"
done
[[ -e output/recipes/roi_selector/gamma2.pth ]] || "$python" tools/fit_selector.py --data-set synthetic_scenes_selector \
    --limit 320 --iterations 300 --gammas 2 "${small_fit[@]}" --output output/recipes/roi_selector \
    --config-file configs/recipes/dld_roi_recogniser.yaml "${options[@]}" \
    MODEL.WEIGHTS output/recipes/roi_spotter/model_final.pth
train dld_roi_recogniser 1

# The same detector with a crop-based recogniser: synthetic.
with_crops=output/recipes/roi_spotter_with_crop_recogniser.pth
[[ -e "$with_crops" ]] || "$python" tools/swap_reader.py \
    output/recipes/roi_spotter/model_final.pth "$sources/recogniser.pth" "$with_crops"
for recipe in crop_recogniser_decoder crop_recogniser spotter_synthetic; do
    train "$recipe"
done

# A student that detects words at a chosen scale and recognises them at full resolution: synthetic-dld. The selector is
# fitted on scenes that the student has not seen, since it reads those that it learnt from better than others.
train student_recogniser 1
train student_synthetic
[[ -e output/recipes/selector/gamma0.3.pth ]] || "$python" tools/fit_selector.py --by spotting \
    --data-set synthetic_scenes_selector --limit 800 --iterations 1000 --gammas 0.05 0.1 0.2 0.3 \
    "${small_fit[@]}" --output output/recipes/selector --config-file configs/recipes/dld_synthetic.yaml "${options[@]}" \
    MODEL.WEIGHTS output/recipes/student_synthetic/model_final.pth

# The models of photos: photos and photos-dld. PHOTOS is a folder with icdar2015_train, icdar2003_train,
# icdar2015_words_train and, if it is there, photos_without_text_labels (projects/DLD/prepare_photos.py says what is in them).
[[ "${PHOTOS:-}" ]] || exit 0
photos=datasets/photos
unlabelled=()
[[ ! -e "$PHOTOS/photos_without_text_labels" ]] || unlabelled=(--unlabelled "$PHOTOS/photos_without_text_labels" \
    --detector "${models:?set PP_OCR_MODELS}/PP-OCRv6_det_small.onnx")
[[ -e "$photos/icdar2003_dev.json" ]] || "$python" projects/DLD/prepare_photos.py --icdar2015 "$PHOTOS/icdar2015_train" \
    --icdar2003 "$PHOTOS/icdar2003_train" "${unlabelled[@]}" --output "$photos"
# Words 1 to 3960 are those of photos 1 to 900.
if [[ ! -e "$photos/word_pages/pages.json" ]]; then
    words="$PHOTOS/icdar2015_words_train"
    head -n 3960 "$words/gt.txt" >"$photos/words.txt"
    head -n 3960 "$words/coords.txt" >"$photos/coords.txt"
    "$python" tools/pack_word_crops.py --images "$words/images" --annotations "$photos/words.txt" \
        --coordinates "$photos/coords.txt" --rounds 2 --output "$photos/word_pages"
fi
[[ -e "$sources/recogniser_ctc.pth" ]] || "$python" tools/convert_pp_ocr.py \
    "${models:?set PP_OCR_MODELS}/PP-OCRv6_rec_small.onnx" "$sources/recogniser_ctc.pth" --source "rapidocr 3.10.0" \
    --recogniser --opts MODEL.TEXT.CHARSET printable95 MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION "(12, 32)" \
    MODEL.PIXEL_MEAN "[123.675, 116.28, 103.53]" MODEL.PIXEL_STD "[58.395, 57.12, 57.375]"
join() { # detector, recogniser, joined
    [[ -e "output/recipes/$3.pth" ]] || "$python" tools/swap_reader.py "$1" "$2" "output/recipes/$3.pth"
}
join output/recipes/spotter_synthetic/model_final.pth "$sources/recogniser_ctc.pth" photos_start
train photos_detector
train photos_recogniser 1
join output/recipes/photos_detector/model_final.pth output/recipes/photos_recogniser/model_final.pth photos
[[ -e output/recipes/photos_selector/gamma0.3.pth ]] || "$python" tools/fit_selector.py --by spotting \
    --data-set photos_selection --batch-size 1 --held-out 0.1 --gammas 0.1 0.3 "${small_fit[@]}" --output output/recipes/photos_selector \
    --config-file configs/recipes/photos_dld.yaml "${options[@]}" MODEL.WEIGHTS output/recipes/photos.pth
