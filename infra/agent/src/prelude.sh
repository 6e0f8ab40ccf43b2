unset BASH_ENV
__bellhop_note() {
  # Only if the shell is about to exit: not in a subshell, whose parent decides, and not after set +e of the script.
  [[ $BASH_SUBSHELL == 0 && $- == *e* ]] || return 0
  local code=$1 line=$2 command=$3 index text
  for ((index = 1; index < ${#BASH_SOURCE[@]}; index++)); do
    [[ ${BASH_SOURCE[index]} != @SCRIPT@ ]] || break
  done
  # A command in a file that the script has sourced is reported at the line that led there.
  ((index == 1)) || line=${BASH_LINENO[index - 1]-}
  # bash names only the last command of a pipeline, which is seldom the one that failed. The script's line says more.
  if [[ $4 == *' '* && $index == 1 ]]; then
    index=0
    while IFS= read -r text && ((++index < line)); do :; done <@SCRIPT@
    command=${text#"${text%%[![:space:]]*}"}
  fi
  # Without room for the note, the script's exit code still is the command's.
  { printf '%s\n%s\n%s' "$code" "$line" "$command" >@NOTE@; } 2>/dev/null || :
}
set -eE -o pipefail
trap '__bellhop_note "$?" "$LINENO" "$BASH_COMMAND" "${PIPESTATUS[*]}"' ERR
