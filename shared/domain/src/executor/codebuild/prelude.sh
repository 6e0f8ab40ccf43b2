# shellcheck shell=bash
# bash reads this file before a job's script, because BASH_ENV names it. If a command ends the script, the file leaves a note beside the script:
# exit code, line and command, in one line. The agents of ECS find them in the same way: see infra/agent/src/prelude.sh.
#
# @SCRIPT@ stands for the path of the script. Whatever goes wrong in here must not change how the script ends.

# The script sees its environment without what brought it here.
if [[ -n ${BELLHOP_BASH_ENV-} ]]; then
  BASH_ENV=$BELLHOP_BASH_ENV
else
  unset BASH_ENV
fi
unset BELLHOP_BASH_ENV BELLHOP_FAILED

# Arguments: exit code, line, command, the exit codes of the pipeline.
__bellhop_note() {
  # Only where the shell is about to end: not in a subshell, whose parent decides, and not after the script's own set +e.
  [[ $BASH_SUBSHELL == 0 && $- == *e* ]] || return 0
  # In a subshell, so that no variable of the script is in the way.
  (
    # Bytes, one by one, and most of them as they are: how CodeBuild carries quotes, line breaks and UTF-8 in a variable is not documented.
    LC_ALL=C
    _bh_line=$2 _bh_command=$3 _bh_note=''
    for ((_bh_index = 1; _bh_index < ${#BASH_SOURCE[@]}; _bh_index++)); do
      [[ ${BASH_SOURCE[_bh_index]} != @SCRIPT@ ]] || break
    done
    # A command in a file that the script has sourced is reported at the line that led there.
    ((_bh_index == 1)) || _bh_line=${BASH_LINENO[_bh_index - 1]-}
    # bash names only the last command of a pipeline, which is seldom the one that failed. The script's line says more.
    if [[ $4 == *' '* && $_bh_index == 1 ]]; then
      _bh_index=0
      while IFS= read -r _bh_text && ((++_bh_index < _bh_line)); do :; done <@SCRIPT@
      _bh_command=${_bh_text#"${_bh_text%%[![:space:]]*}"}
    fi
    _bh_command=${_bh_command:0:300}
    for ((_bh_index = 0; _bh_index < ${#_bh_command}; _bh_index++)); do
      _bh_text=${_bh_command:_bh_index:1}
      case $_bh_text in
        [A-Za-z0-9\ _./:,=@+-]) ;;
        *)
          printf -v _bh_text %d "'$_bh_text"
          printf -v _bh_text '%%%02X' "$((_bh_text & 255))"
          ;;
      esac
      _bh_note+=$_bh_text
    done
    printf '%s %s %s\n' "$1" "$_bh_line" "$_bh_note" >|@SCRIPT@.failed
  ) 2>/dev/null
}

set -E
# In a list with `||`, `set -e` does not end the note half-way.
trap '__bellhop_note "$?" "$LINENO" "$BASH_COMMAND" "${PIPESTATUS[*]}" || :' ERR

if [[ -r ${BASH_ENV-} ]]; then
  # shellcheck disable=SC1090  # a file of the project's image
  source "$BASH_ENV"
fi
