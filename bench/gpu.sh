#!/usr/bin/env bash
# Everything that can only be learned on a GPU, in one command and less than ten minutes:
#
#     bash bench/gpu.sh [OUT [STEP...]]        OUT: a folder, ./gpu-results by default; what it holds is kept as *.old
#
#   machine    card, driver, versions; installs this tree for the run where it is not installed
#   doctor     fastdissect doctor
#   tests      those marked `gpu`, and the kernel tests with real kernels, once as nvcc and once as NVRTC compiled them
#   sanitize   compute-sanitizer's memcheck and racecheck over bench/gpu/every_kernel.py
#   measure    copy, sift, stream, count, tally, whole: bench/gpu/*.py, each with its prediction
#
# Results: OUT/gpu.md (printed last), OUT/gpu.json, OUT/log.txt. A step that fails is in the table, and the next one
# goes on. Exit status: 0 all well, 1 something failed, 3 no CUDA device here (then what needs none has run, and
# nothing is measured), 2 the command is wrong.
#
# PYTHON   the interpreter (python3); torch and cupy must be in it
# WHEELS   a folder of wheels of what is missing (no network is used): pybind11, scikit_build_core, platformdirs, ...
# DISSECT  a checkout of davidbau/dissect, to be measured beside ours
# QUICK=1  few repetitions: does it run at all?        LIMIT  seconds for everything (570)
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3}
limit=${LIMIT:-570}
known=(machine doctor tests sanitize measure)
asked=("${@:2}")
for word in "${asked[@]}"; do
  [[ " ${known[*]} " == *" $word "* ]] || { echo "expected steps of: ${known[*]}; got $word" >&2; exit 2; }
done
python=$(command -v "$python") || { echo "expected PYTHON to be an interpreter; got ${PYTHON:-python3}" >&2; exit 2; }
absolute() { [[ -z $1 || $1 == /* ]] && printf '%s' "$1" || printf '%s' "$PWD/$1"; }
python=$(absolute "$python")
DISSECT=$(absolute "${DISSECT:-}") WHEELS=$(absolute "${WHEELS:-}")
export DISSECT
mkdir -p "${1:-gpu-results}" || exit 2
out=$(cd "${1:-gpu-results}" && pwd)
for file in log.txt steps.tsv rows.jsonl gpu.json gpu.md; do
  [[ ! -e $out/$file ]] || mv "$out/$file" "$out/$file.old"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quick=()
[[ ${QUICK:-} != 1 ]] || quick=(--quick)
failed=0
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
export CUPY_CACHE_DIR=$work/cupy NUMBA_CACHE_DIR=$work/numba FASTDISSECT_CACHE=$work/cache
unset PYTHONSAFEPATH FASTDISSECT_CUDA FASTDISSECT_BACKEND
cd "$root" || exit 2

wants() { [[ ${#asked[@]} -eq 0 || " ${asked[*]} " == *" $1 "* ]]; }
say() { printf '%s\n' "$*" | tee -a "$out/log.txt"; }
note() { # step, outcome, seconds, note
  printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$(printf '%s' "$4" | tr '\t\n' '  ' | cut -c1-240)" >>"$out/steps.tsv"
  say "--- $1: $2 after $3 s. $4"
  [[ $2 == "done" || $2 == "skipped" ]] || failed=1
}

# step NAME SECONDS COMMAND...: at most so long, and never past the limit; output to the screen and to the log.
# $refused: a pattern in the output by which a failure means "cannot be had here".
refused=
step() {
  local name=$1 most=$2 begun=$SECONDS rest=$((limit - 20 - SECONDS)) status outcome
  shift 2
  if ((rest < 5)); then
    note "$name" "NOT RUN" 0 "no time left of $limit s (LIMIT)"
    return 1
  fi
  ((most <= rest)) || most=$rest
  say "
=== $name (after $SECONDS s, at most $most s): $*"
  timeout --kill-after=5 "$most" "$@" 2>&1 </dev/null | tee "$work/step.log" | tee -a "$out/log.txt"
  status=${PIPESTATUS[0]}
  local last
  last=$(grep -v '^[[:space:]]*$' "$work/step.log" | tail -n 1)
  case $status in
    0) outcome="done" ;;
    124 | 137) outcome="TIMED OUT" ;;
    *) outcome="FAILED ($status)" ;;
  esac
  if [[ $status -ne 0 && -n $refused ]] && grep -qE "$refused" "$work/step.log"; then
    outcome="skipped"
    last=$(grep -E "$refused" "$work/step.log" | head -n 1)
  fi
  note "$name" "$outcome" $((SECONDS - begun)) "$last"
  return "$status"
}

# --- machine: what is here, and this tree in a state to be run
here() { "$python" -c "import importlib.util as u, sys; sys.exit(not u.find_spec('$1'))" 2>/dev/null; }
# This tree is what is imported, with its compiled core, and with fatbins of these very sources where `nvcc` is asked for.
usable() {
  (cd / && "$python" - "$root" "$1" <<'PY'
import sys
from importlib.util import find_spec
from pathlib import Path

try:
    import fastdissect
    from fastdissect.kernels.cuda.sources import fatbin_problem, folder
except ImportError as error:
    sys.exit(f"fastdissect does not import: {error}")


def files(place: Path, pattern: str) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.glob(pattern)}


root, package = Path(sys.argv[1]).resolve(), Path(fastdissect.__file__).resolve().parent
for own, tree, pattern in (
    (package, root / "fastdissect", "**/*.py"),
    (folder(), root / "csrc" / "cuda", "*.cu*"),
):
    if own.resolve() != tree and files(own, pattern) != files(tree, pattern):
        sys.exit(f"the fastdissect in {package} is not this tree's")
if find_spec("fastdissect._core") is None:
    sys.exit("there is no compiled core")
problem = fatbin_problem(10**9) if sys.argv[2] == "nvcc" else None
sys.exit(f"fatbins: {problem}" if problem else 0)
PY
  )
}
install() {
  local why missing=() begun=$SECONDS
  if why=$(usable "$1" 2>&1); then
    note install "done" 0 "this tree is installed already"
    return
  fi
  say "to be installed for this run: $why"
  if [[ -n $WHEELS ]]; then
    step "install wheels" 60 "$python" -m pip install -q --no-index --no-deps --target "$work/site" "$WHEELS"/*.whl
    export PYTHONPATH=$work/site
  fi
  for module in scikit_build_core pybind11; do here "$module" || missing+=("$module"); done
  command -v cmake >/dev/null || here cmake || missing+=(cmake)
  if [[ ${#missing[@]} -eq 0 ]]; then
    # nvcc compiles for its targets side by side; one after the other, the largest kernel alone takes a minute
    NVCC_APPEND_FLAGS="${NVCC_APPEND_FLAGS:-} --threads=8" step install $((limit / 3)) \
      "$python" -m pip install --no-build-isolation --no-deps --no-index --upgrade \
      --target "$work/site" -C "build-dir=$work/build" \
      -C "cmake.define.pybind11_DIR=$("$python" -m pybind11 --cmakedir)" "$root"
    export PYTHONPATH=$work/site
    if why=$(usable "$1" 2>&1); then return; fi
    note "install, looked at" "FAILED" 0 "$why"
    if [[ $why == fatbins:* ]]; then return; fi
    why="it did not install: $why"
  else
    why="to compile it, these are missing: ${missing[*]} (their wheels in a folder: WHEELS=folder)"
  fi
  export PYTHONPATH=$root${WHEELS:+:$work/site}
  why+="; it runs from the sources: Numba on the host, NVRTC for the kernels"
  note "install" "FAILED (sources alone)" $((SECONDS - begun)) "$why"
}

say "fastdissect on a GPU: $(date), $root, results in $out"
{
  if command -v nvidia-smi >/dev/null; then nvidia-smi 2>&1; else echo "there is no nvidia-smi"; fi
  if command -v nvcc >/dev/null; then nvcc --version 2>&1 | tail -n 2; else echo "there is no nvcc"; fi
} | tee -a "$out/log.txt"
lacking=()
for module in numpy torch cupy numba pandas pyarrow safetensors typer rich jinja2 platformdirs PIL pytest hypothesis; do
  here "$module" || lacking+=("$module")
done
[[ ${#lacking[@]} -eq 0 ]] || say "not importable in $python: ${lacking[*]}"
# Whether there is a device is asked before anything is installed: its own file imports nothing of ours but its rows.
listed=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU')
[[ $listed -gt 0 ]] || refused='^no CUDA device here'  # where the driver lists one, not to see it is a failure
step machine 60 "$python" bench/gpu machine "$out"
status=$?
refused=
device=yes
[[ $status -eq 0 || ($status -ne 3 && $listed -gt 0) ]] || device=no
with_nvcc=no
if [[ $device == yes ]] && command -v nvcc >/dev/null; then with_nvcc=nvcc; fi
install "$with_nvcc"

finish() {
  say ""
  "$python" bench/gpu report "$out" | tee -a "$out/log.txt"
  if [[ ${PIPESTATUS[0]} -ne 0 ]]; then
    cat "$out/steps.tsv"
    failed=1
  fi
  say "in $out after $SECONDS s; exit status $1"
  exit "$1"
}

if wants doctor; then step doctor 60 "$python" -P -m fastdissect doctor; fi

if [[ $device == no ]]; then
  say "There is no CUDA device here: nothing is measured. The kernels' sources run on the CPU instead."
  if ! command -v g++ >/dev/null || [[ $(uname -m) != x86_64 ]]; then
    note "every kernel, on the CPU" skipped 0 "needs g++ on x86-64"
  else
    step "every kernel, on the CPU" 300 "$python" bench/gpu/every_kernel.py --stand-in
  fi
  ((failed)) && finish 1
  finish 3
fi

# --- tests, both ways of compiling
modes=(jit)
if usable nvcc >/dev/null 2>&1; then modes=(fatbin jit); fi
if wants tests; then
  [[ ${modes[0]} == fatbin ]] || note "tests, fatbin" "NOT RUN" 0 "$(usable nvcc 2>&1)"
  pytest=("$python" -P -m pytest -q -p no:cacheprovider -W default --continue-on-collection-errors)
  parallel=()
  if here xdist; then parallel=(-n "$(($(nproc) * 3 / 4 > 12 ? 12 : $(nproc) * 3 / 4 + 1))"); fi
  mapfile -t marked < <(grep -rlE 'mark\.gpu' tests --include='test_*.py')
  digests=()
  for mode in "${modes[@]}"; do
    export FASTDISSECT_CUDA=$mode
    step "every kernel, $mode" 60 "$python" bench/gpu/every_kernel.py
    digests+=("$(grep -E '^digest ' "$work/step.log")")
    step "kernel tests, $mode" 100 "${pytest[@]}" "${parallel[@]}" -k cuda -m "not slow" \
      tests/test_kernels_*.py tests/test_cuda_*.py
    step "tests marked gpu, $mode" 80 "${pytest[@]}" -m gpu "${marked[@]}"
  done
  unset FASTDISSECT_CUDA
  if [[ ${#digests[@]} -eq 2 ]]; then
    if [[ -n ${digests[0]} && ${digests[0]} == "${digests[1]}" ]]; then
      note "fatbin = jit" "done" 0 "every kernel's results have one ${digests[0]}"
    else
      note "fatbin = jit" "FAILED" 0 "fatbin: ${digests[0]:-none}; jit: ${digests[1]:-none}"
    fi
  fi
fi

# --- measurements before the sanitizer: if time runs out, what is left is a run of `sanitize` alone
if wants measure; then
  step copy 30 "$python" bench/gpu copy "$out" "${quick[@]}"
  step sift 90 "$python" bench/gpu sift "$out" "${quick[@]}"
  step count 45 "$python" bench/gpu count "$out" "${quick[@]}"
  step stream 60 "$python" bench/gpu stream "$out" "${quick[@]}"
  if [[ -n $DISSECT ]]; then
    step tally 60 "$python" bench/gpu tally "$out" "${quick[@]}"
  else
    note tally skipped 0 "no checkout of davidbau/dissect was given (DISSECT=path)"
  fi
  step whole 240 "$python" bench/gpu whole "$out" "${quick[@]}"
fi

if wants sanitize; then
  sanitizer=
  for place in /usr/local/cuda*/bin/compute-sanitizer "$(command -v compute-sanitizer)"; do
    [[ ! -x $place ]] || sanitizer=$place
  done
  for tool in memcheck racecheck; do
    if [[ -z $sanitizer ]]; then
      note "$tool" skipped 0 "there is no compute-sanitizer"
      continue
    fi
    refused='Device not supported|not supported on this device|InitializationError|Unable to (attach|launch)'
    step "$tool" 90 "$sanitizer" --tool "$tool" --target-processes all --error-exitcode 9 \
      "$python" bench/gpu/every_kernel.py --few --no-pool
    refused=
  done
fi

finish $((failed ? 1 : 0))
