#!/usr/bin/env bash
# From nothing to weights like those that come with the project: fonts and words, drawn scenes, and the stages of
# configs/synthetic. Each step is skipped when its result is there, and a stage that was interrupted goes on where it
# stopped.
#
#   bash projects/DLD/train_synthetic.sh                      all of it, on the CPU, in two processes
#   PROCESSES=8 bash projects/DLD/train_synthetic.sh          in so many; of each one thread
#   bash projects/DLD/train_synthetic.sh MODEL.DEVICE cuda    on one GPU; config options go to every stage
#
# The backbone starts from the small text detector of PP-OCRv6, and the reader that sees pixels from its small recogniser;
# the package rapidocr (Apache-2.0) holds both. Get them with
#   pip install onnx && pip install --no-deps --target rapidocr_files rapidocr==3.10.0
# and set PP_OCR_MODELS to rapidocr_files/rapidocr/models.
#
# The model that knows photographs is trained, too, where datasets/photos (images, train.json, val.json) and
# datasets/word_pages are; projects/DLD/experiments.md says how they were made.
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

draw() { # folder, split, style, seed, number of scenes; options
    [[ -e "$data/$1/scenes.json" ]] || "$python" tools/make_synthetic.py --sources "$sources" --output "$data/$1" \
        --split "$2" --style "$3" --seed "$4" --count "$5" "${@:6}"
}

train() { # config, output folder, number of processes
    [[ -e "output/synthetic/$2/model_final.pth" ]] || "$python" projects/DLD/train_net.py --resume \
        --num-gpus "${3:-$processes}" --config-file "configs/synthetic/$1.yaml" "${options[@]}"
}

fit() { # config, output folder, weights, the teacher's, number of scenes; gammas
    [[ -e "output/synthetic/$2/gamma${*: -1}.pth" ]] || "$python" tools/fit_selector.py --data-set drawn_select \
        --limit "$5" --iterations 1000 --gammas "${@:6}" --output "output/synthetic/$2" \
        --config-file "configs/synthetic/$1.yaml" "${options[@]}" \
        MODEL.WEIGHTS "output/synthetic/$3/model_final.pth" \
        MODEL.DLD.TEACHER_WEIGHTS "output/synthetic/$4/model_final.pth"
}

[[ -e "$sources/LICENCES.txt" ]] || "$python" tools/fetch_fonts.py --output "$sources"
grep -qs "^@expo-google-fonts/" "$sources/LICENCES.txt" || "$python" tools/fetch_fonts.py --output "$sources" --web-fonts
models="${PP_OCR_MODELS:-}"
[[ -e "$sources/pp_lcnet.pth" ]] || "$python" tools/convert_pp_ocr.py \
    "${models:?set PP_OCR_MODELS}/PP-OCRv6_det_small.onnx" "$sources/pp_lcnet.pth" --source "rapidocr 3.10.0"
[[ -e "$sources/reader.pth" ]] || "$python" tools/convert_pp_ocr.py \
    "${models:?set PP_OCR_MODELS}/PP-OCRv6_rec_small.onnx" "$sources/reader.pth" --source "rapidocr 3.10.0" --reader \
    --opts MODEL.PIXEL_MEAN "[123.675, 116.28, 103.53]" MODEL.PIXEL_STD "[58.395, 57.12, 57.375]"
draw reading train reading 0 2400
draw train train scenes 1 3000
draw test test scenes 2 500
draw dense train dense 4 5000
draw varied train varied 6 7000 --fonts "$sources/web_fonts"
draw train_web train scenes 7 3000 --fonts "$sources/web_fonts"
draw select train scenes 8 2000 --fonts "$sources/web_fonts"

train 1_Reading 1_reading
train 2_Teacher 2_teacher
train 3_Reading 3_reading
train 4_Teacher 4_teacher
train 5_Reading 5_reading
train 6_Teacher 6_teacher
# The same detector with a reader that sees pixels.
[[ -e output/synthetic/6_teacher_with_reader.pth ]] || "$python" tools/swap_reader.py \
    output/synthetic/6_teacher/model_final.pth "$sources/reader.pth" output/synthetic/6_teacher_with_reader.pth
train 6_Reader_Decoder 6_reader_decoder
train 6_Reader 6_reader

# On scenes that the teacher has not seen: it reads those that it learnt from better than others.
[[ -e output/synthetic/7_selector/gamma4.pth ]] || "$python" tools/fit_selector.py --data-set drawn_select \
    --iterations 1500 --gammas 0.1 0.3 1 2 4 --among 0.3 0.4 0.5 --among 0.6 0.7 0.8 --output output/synthetic/7_selector \
    --config-file configs/synthetic/7_DLD_gamma0.1.yaml "${options[@]}" \
    MODEL.WEIGHTS output/synthetic/6_teacher/model_final.pth
# A batch of students is small: one process each.
for method in Vanilla_0.5 SKD-only; do
    folder="$(tr '[:upper:]-' '[:lower:]_' <<<"$method")"
    train "7_Reading_$method" "7_reading_$folder" 1
    train "7_$method" "7_$folder" 1
done
train 6_TextPerceptron 6_text_perceptron 1
train 6_MANGO_Attention 6_mango_attention 1
train 6_MANGO 6_mango 1
for gamma in 0.1 2; do
    train "7_DRS-only_gamma$gamma" "7_drs_only_gamma$gamma" 1
    train "7_DLD_gamma$gamma" "7_dld_gamma$gamma" 1
done
for spotter in TextPerceptron MANGO; do
    folder="$([[ $spotter == MANGO ]] && echo mango || echo text_perceptron)"
    [[ -e "output/synthetic/7_selector_$folder/gamma2.pth" ]] || "$python" tools/fit_selector.py --data-set drawn_select \
        --limit 1000 --iterations 800 --gammas 2 --output "output/synthetic/7_selector_$folder" \
        --config-file "configs/synthetic/7_DLD_${spotter}_gamma2.yaml" "${options[@]}" \
        MODEL.WEIGHTS "output/synthetic/6_$folder/model_final.pth"
    train "7_DLD_${spotter}_gamma2" "7_dld_${folder}_gamma2" 1
done

# Students whose reader sees pixels.
for method in Vanilla_0.5 SKD-only; do
    folder="$(tr '[:upper:]-' '[:lower:]_' <<<"$method")"
    train "7_Pixels_$method" "7_pixels_$folder" 1
done
fit 7_Pixels_DLD 7_pixels_selector 6_reader 6_reader 800 0.1 0.3 1 2 4 8

# Students whose reader takes smaller pictures: reading first, with and without a teacher, then with a selector on scenes.
train 7_Small_Reading 7_small_reading
train 7_Small_Reading_Vanilla 7_small_reading_vanilla 1
for student in "" _vanilla; do
    fit 7_Small_DLD_gamma0.1 "7_small_selector$student" "7_small_reading$student" 6_reader 800 0.1 0.3 1 2
done
for gamma in 0.1 0.3; do
    train "7_Small_DLD_gamma$gamma" "7_small_dld_gamma$gamma" 1
    train "7_Small_DRS-only_gamma$gamma" "7_small_drs_only_gamma$gamma" 1
done

# What was trained on a GPU, in minutes instead of hours: a better teacher, and students whose reader takes pictures of 24 x 96
# pixels. The last steps, few and small, ran on a CPU again.
train 10_Teacher 10_teacher
train 11_SKD-only 11_skd_only 1
train 11_Vanilla_0.5 11_vanilla_0.5 1
for method in SKD Vanilla; do
    train "11_Reading_$method" "11_reading_${method,,}" 1
done
fit 12_DLD_gamma0.1 11_selector 11_reading_skd 10_teacher 480 0.05 0.1 0.2 0.3 0.5 1
fit 12_DLD_gamma0.1 11_selector_vanilla 11_reading_vanilla 10_teacher 480 0.05 0.1 0.2 0.3 0.5 1
for gamma in 0.1 0.3; do
    train "12_DLD_gamma$gamma" "12_dld_gamma$gamma" 1
    train "12_DRS-only_gamma$gamma" "12_drs_only_gamma$gamma" 1
done

# A student that finds words at the chosen scale and reads them at full resolution.
train 13_Student 13_student
[[ -e output/synthetic/13_selector/gamma0.3.pth ]] || "$python" tools/fit_selector.py --by spotting --data-set drawn_select \
    --limit 800 --iterations 1000 --gammas 0.05 0.1 0.2 0.3 --output output/synthetic/13_selector \
    --config-file configs/synthetic/13_DLD.yaml "${options[@]}" MODEL.WEIGHTS output/synthetic/13_student/model_final.pth

if [[ -e datasets/photos/train.json && -e datasets/word_pages/pages.json ]]; then
    train 8_Reading_photos 8_reading_photos
    train 9_Photos 9_photos
    [[ -e output/synthetic/9_photos_with_reader.pth ]] || "$python" tools/swap_reader.py \
        output/synthetic/9_photos/model_final.pth output/synthetic/6_reader/model_final.pth \
        output/synthetic/9_photos_with_reader.pth
    train 9_Reader_photos 9_reader_photos
    train 10_Photos 10_photos 1
    train 10_Reader_photos 10_reader_photos 1
fi
