# shellcheck shell=bash
# Runs the commands of one phase: all phases of a build share one shell's state, and a failed command ends the phase.
# Arguments: the state file, the progress file, whether the build succeeds so far, the file for exported variables, their names, the commands.
if [[ -e $1 ]]; then
    # The variables that the shell does not let anybody set are among those that were kept.
    # shellcheck disable=SC1090  # the phases before have written it
    source "$1" 2>/dev/null
fi
_phase_state=$1
_phase_progress=$2
export CODEBUILD_BUILD_SUCCEEDING=$3
_phase_exports=$4
read -ra _phase_exported <<<"$5"
shift 5
_phase_keep() {
    { declare -p; declare -f; printf 'cd -- %q\n' "$PWD"; } >"$_phase_state"
}
# CodeBuild reads the variables that a command has exported once the command has ended. A command that ends the shell leaves none.
_phase_export() {
    local name
    for name in "${_phase_exported[@]}"; do
        [[ ! $(declare -p "$name" 2>/dev/null) =~ ^declare\ -[A-Za-z]*x ]] || printf '%s=%s\0' "$name" "${!name}"
    done >"$_phase_exports"
}
trap '_phase_code=$?; _phase_keep; exit "$_phase_code"' EXIT
_phase_number=0
for _phase_command in "$@"; do
    printf '%s' "$_phase_number" >"$_phase_progress"
    _phase_number=$((_phase_number + 1))
    # Not in a condition, which would switch `set -e` off in it.
    eval "$_phase_command"
    _phase_code=$?
    _phase_export
    [[ $_phase_code == 0 ]] || exit "$_phase_code"
done
