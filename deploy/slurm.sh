#!/usr/bin/env bash
# One sweep in a Slurm allocation, with Ray on all of its nodes while it runs. From an activated environment:
#   sbatch --nodes=4 --gpus-per-node=4 --time=8:00:00 deploy/slurm.sh compare_globals_heads --out /shared/results
# What follows is given to `sweeps run`. Submitted again, it goes on where it was.
#SBATCH --job-name=counterpoise
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
# Whole nodes, because Ray's end ends every Ray of this user on a node.
set -euo pipefail

# The node of this script is the head.
address="$(hostname --all-ip-addresses | cut -d' ' -f1):$((20000 + SLURM_JOB_ID % 10000))"

# Everybody on the network can reach Ray, so it asks for a token, which lives as long as this job.
RAY_AUTH_TOKEN="$(python -c 'import secrets; print(secrets.token_hex(32))')"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN RAY_TMPDIR="/tmp/ray-$SLURM_JOB_ID"

# The sweep ends itself five minutes before Slurm would, and has its report. A --time-budget of yours goes first.
budget=()
if [[ -n "${SLURM_JOB_END_TIME:-}" ]]; then
  budget=(--time-budget "$((SLURM_JOB_END_TIME - $(date +%s) - 300))s")
fi

begun="$RAY_TMPDIR/begun"
srun --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
  ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" --disable-usage-stats \
  --num-cpus "$SLURM_CPUS_ON_NODE" --num-gpus "${SLURM_GPUS_ON_NODE:-0}" \
  -- bash -c "touch $begun && exec python -m sweeps run \"\$@\"" sweeps "${budget[@]}" "$@"

# When Ray does not start, symmetric-run says so and succeeds.
[[ -e "$begun" ]] || { echo "Ray did not start, so no sweep began; see above." >&2; exit 2; }
