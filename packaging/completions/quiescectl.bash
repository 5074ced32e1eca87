# bash completion for quiescectl(1)

_quiescectl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb= options word i
	local -a socket=()
	local verbs='status list show logs events start stop restart call calls answer cancel drain resume reload shutdown
		last-shutdown health'

	# --socket=PATH arrives as three words: the "=" splits.
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--socket | --file | --batch | --out | --jobs)
			[[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
			((i++))
			[[ $word == --socket ]] && socket=(--socket "${COMP_WORDS[i]}")
			;;
		--wait)
			[[ ${COMP_WORDS[i + 1]} == = ]] && ((i += 2))
			;;
		-*) ;;
		*)
			verb=${verb:-$word}
			;;
		esac
	done

	COMPREPLY=()
	[[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}
	[[ $cur == = ]] && cur=
	case $prev in
	--socket | --file | --batch | --out)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames 2>/dev/null
		return
		;;
	esac

	if [[ $cur == -* ]]; then
		options='--socket --json --help'
		case $verb in
		'') options+=' --version' ;;
		answer | start | stop | restart | reload | shutdown) options+=' --wait' ;;
		call) options+=' --detach --batch --out --jobs --force' ;;
		health) options+=' --live --verbose' ;;
		logs) options+=' --follow' ;;
		last-shutdown) options+=' --file' ;;
		esac
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
		return
	fi

	case $verb in
	'')
		mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
		;;
	call | show | logs | start | stop | restart)
		mapfile -t COMPREPLY < <(compgen -W \
			"$(quiescectl "${socket[@]}" list 2>/dev/null | while read -r word _; do
				printf '%s\n' "$word"
			done)" -- "$cur")
		;;
	answer | cancel)
		mapfile -t COMPREPLY < <(compgen -W \
			"$(quiescectl "${socket[@]}" calls 2>/dev/null | while read -r word _; do
				printf '%s\n' "$word"
			done)" -- "$cur")
		;;
	esac
}

complete -F _quiescectl quiescectl
