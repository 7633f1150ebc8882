# Sourced by ci/gate and ci/long: clones the last commit into a temporary folder, `$work/clone`, and
# goes there. Data kept beside the checkout is found through FASTNN_DATA.
checkout=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -d "$checkout/../shared/data" ]; then
    FASTNN_DATA=$(cd "$checkout/../shared/data" && pwd)
    export FASTNN_DATA
fi
if [ -n "$(git -C "$checkout" status --porcelain)" ]; then
    echo "note: changes that are not committed are not checked" >&2
fi
git clone --quiet "$checkout" "$work/clone"
cd "$work/clone"
