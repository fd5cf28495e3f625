#!/usr/bin/env bash
# All comparisons of training and inference on one card, in one call: prints a JSON object a line.
#
#     bash jaxvid/benchmark/gpu.sh PEERS [ARGUMENT...] > gpu.jsonl
#
# PEERS: directory of the peers torch_video_resnet.py and keras_recurrent.py. Further arguments go to every command, such
# as --config.dataset.data_dir=DIR, where the sizes 64x64, 128x128 and 128x171 of synthetic_fight are prepared.
# Environment: BATCH (of the Video ResNet), STEPS, ROUNDS, PEER_FLAGS; PYTHON of jaxvid and PEER_PYTHON of the peers;
# DRY=1 prints the commands and runs none.
set -uo pipefail

peers=${1:?directory of the peers}
shift
python=${PYTHON:-python} peer_python=${PEER_PYTHON:-${PYTHON:-python}}
batch=${BATCH:-32} steps=${STEPS:-20} rounds=${ROUNDS:-5}
# A peer runs while our process holds its memory.
export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-.45}

measure() {
    local command=("$python" -m jaxvid.benchmark "--steps=$steps" "--rounds=$rounds" "$@")
    if [ -n "${DRY:-}" ]; then printf '%q ' "${command[@]}"; echo; return; fi
    # What fails leaves the others; its message is on standard error.
    "${command[@]}" || echo "{\"what\": \"failed\", \"command\": \"${*//\"/\\\"}\"}"
}

for size in "$batch" $((4 * batch)); do
    torch="$peer_python $peers/torch_video_resnet.py --batch $size --frames 16 ${PEER_FLAGS---amp --channels_last --compile}"
    measure --config=configs/video_resnet.py:dataset=synthetic_fight,frames=16 --config.model.pretrained= \
        --config.model.dtype=bfloat16 "--config.train.batch_size=$size" --parts=step,inference "--peer=$torch" "$@"
done
for model in lrcn convlstm; do
    keras="$peer_python $peers/keras_recurrent.py --model $model"
    measure "--config=configs/$model.py:dataset=synthetic_fight" --parts=step,inference "--peer=$keras" "$@"
done
for backbone in mobilenet inception_v3; do
    measure "--config=configs/backbone_lstm.py:dataset=synthetic_fight,backbone=$backbone" \
        --config.model.pretrained= --config.model.dtype=bfloat16 --parts=step,both,inference "$@"
done
for model in shdn lrcn; do
    small=("--config=configs/$model.py:dataset=synthetic_fight" --config.model.dtype=bfloat16)
    for resident in false true; do
        measure "${small[@]}" "--config.pipeline.resident=$resident" --parts=pipeline,step,both "$@"
    done
    # All steps in one call.
    measure "${small[@]}" --config.pipeline.resident=true "--config.pipeline.steps_per_call=$steps" --parts=step,both "$@"
done
