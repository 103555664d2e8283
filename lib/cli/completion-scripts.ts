/**
 * What the shells run to complete: each asks `hearsay __complete SHELL`, whose first line says whether the shell is to complete
 * files (`files`) or has the words that follow (`words`), each with what it is behind a tab.
 */

/** The shells that there is a script for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

// Bash has its words quoted for it, as they stand in the line: it cannot do that by itself but for files that are there.
const BASH = `# Completion of hearsay for bash: source <(hearsay completion bash)
_hearsay() {
  local kind word
  COMPREPLY=()
  {
    read -r kind
    while IFS= read -r word; do COMPREPLY+=("$word"); done
  } < <(hearsay __complete bash -- "$2" "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
  if [[ $kind == words ]]; then
    # Nothing fits: then no file does either.
    compopt +o default 2>/dev/null
    # A folder goes on.
    [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == */ ]] && compopt -o nospace 2>/dev/null
  fi
  return 0
}
complete -o default -F _hearsay hearsay
`;

const ZSH = `#compdef hearsay
# Completion of hearsay for zsh, after compinit: source <(hearsay completion zsh)
_hearsay() {
  local line word
  local -a lines plain shown folders list
  lines=("\${(@f)$(hearsay __complete zsh -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  if [[ $lines[1] == files ]]; then
    [[ $PREFIX == --*=* ]] && compset -P '--*='
    _files
    return
  fi
  [[ $lines[1] == words ]] || return 1
  for line in "\${(@)lines[2,-1]}"; do
    word=\${line%%$'\\t'*}
    # A folder goes on.
    if [[ $word == */ ]]; then
      folders+=("$word")
    else
      plain+=("$word")
      if [[ $line == *$'\\t'* ]]; then
        shown+=("$word  -- \${line#*$'\\t'}")
        list=(-l)
      else
        shown+=("$word")
      fi
    fi
  done
  compadd -S '' -a folders
  compadd $list -d shown -a plain
  (( \${#folders} + \${#plain} ))
}
if [[ $funcstack[1] == _hearsay ]]; then _hearsay "$@"; else compdef _hearsay hearsay; fi
`;

const FISH = `# Completion of hearsay for fish: hearsay completion fish > ~/.config/fish/completions/hearsay.fish
function __hearsay_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l typed (commandline -ct)
    set -l word
    # Without its quoting; a quote may still be open.
    for end in '' '"' "'"
        set word (string unescape -- "$typed$end")
        and break
    end
    set -l lines (hearsay __complete fish -- $words "$word" 2>/dev/null)
    if test "$lines[1]" = files
        set -l kept (string match -r -- '^--[^=]+=' "$typed")
        for file in (__fish_complete_path (string replace -- "$kept" '' "$typed"))
            echo -- "$kept$file"
        end
    else
        printf '%s\\n' $lines[2..-1]
    end
end
complete -c hearsay -f -a '(__hearsay_complete)'
`;

export const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
