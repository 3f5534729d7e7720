
# What only the program knows: the runbooks there are, their parameters, and the choices of each.
_summitctl_runbook() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i verb="" id="" name=""
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == runbook ]] || continue
        verb=${COMP_WORDS[i+1]}
        id=${COMP_WORDS[i+2]:-}
        break
    done
    ((i + 2 <= COMP_CWORD)) || return 1
    case $verb in
        show | lint | plan | run | diff) ;;
        *) return 1 ;;
    esac
    if ((i + 2 == COMP_CWORD)); then
        [[ $cur != -* ]] || return 1
        COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" runbook complete 2>/dev/null)" -- "$cur"))
        ((${#COMPREPLY[@]}))
        return
    fi
    [[ $verb == plan || $verb == run ]] || return 1
    # Bash breaks words at `=`.
    if [[ $cur == = ]]; then
        name=$prev cur=""
    elif [[ $prev == = ]]; then
        name=${COMP_WORDS[COMP_CWORD-2]}
    elif [[ $prev != --param && $prev != -p ]]; then
        return 1
    fi
    local line found=()
    while IFS= read -r line; do
        if [[ -z $name ]]; then
            found+=("${line%%=*}=")
        elif [[ $line == "$name="?* ]]; then
            found+=("${line#*=}")
        fi
    done < <("${COMP_WORDS[0]}" runbook complete "$id" 2>/dev/null)
    ((${#found[@]})) || return 1
    COMPREPLY=($(compgen -W "${found[*]}" -- "$cur" | sort -u))
    [[ -n $name ]] || compopt -o nospace 2>/dev/null
    return 0
}

_summitctl_whole() {
    _summitctl_runbook "$@" || _summitctl "$@"
}

complete -F _summitctl_whole -o bashdefault -o default summitctl
