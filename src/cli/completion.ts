import type { Command } from 'commander'
import { local, type Own } from './verb.ts'

/**
 * The scripts only pass the line on and show the answer of "lockstep complete": a candidate a line, then a tab and its
 * description. Without an answer they complete names of files.
 */
const scripts: Readonly<Record<string, string>> = {
  bash: `_lockstep() {
  local one
  COMPREPLY=()
  while IFS= read -r one; do
    one=\${one%%$'\\t'*}
    [[ \${COMP_WORDS[COMP_CWORD]} == [\\"\\']* ]] || printf -v one %q "$one"
    COMPREPLY+=("$one")
  done < <(command lockstep complete "\${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
}
complete -o bashdefault -o default -F _lockstep lockstep`,
  zsh: `#compdef lockstep
_lockstep() {
  local one
  local -a found
  while IFS= read -r one; do
    found+=("\${\${one%%$'\\t'*}//:/\\\\:}:\${one#*$'\\t'}")
  done < <(command lockstep complete "\${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)
  if (( $#found )); then _describe lockstep found; else _files; fi
}
if [[ $funcstack[1] == _lockstep ]]; then _lockstep "$@"; else compdef _lockstep lockstep; fi`,
  fish: `function __lockstep_complete
  set -l found (command lockstep complete (commandline -cp) 2>/dev/null)
  if test (count $found) -gt 0
    string join \\n -- $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c lockstep -f -a '(__lockstep_complete)'`,
}

const shell: Own<string> = { about: 'one of: bash, zsh, fish', choices: Object.keys(scripts), flag: '<shell>' }

export function completionVerb(): Command {
  return local('completion', 'Prints the script that completes commands in bash, zsh or fish.', {
    own: { shell },
    more: 'Names of locks and runs are those of the service, if one answers within 300 ms.',
    run: async ({ given }) => ({ shell: given.shell ?? '', script: scripts[given.shell ?? ''] ?? '' }),
    lines: ({ script }) => script.split('\n'),
    examples: [
      'source <(lockstep completion bash)    # in ~/.bashrc',
      'source <(lockstep completion zsh)     # in ~/.zshrc, after compinit',
      'lockstep completion fish > ~/.config/fish/completions/lockstep.fish',
    ],
  })
}
