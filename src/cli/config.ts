import type { Command } from 'commander'
import type { Api } from '../api/api.ts'
import type { CheckedConfig, ConfigInForce } from '../api/shapes/config.ts'
import { problemText } from '../domain/policy/document.ts'
import { codes } from '../errors.ts'
import { serviceOf, withOpenLedger } from './context.ts'
import type { Globals } from './globals.ts'
import { timeText } from './output.ts'
import { noun, verb } from './verb.ts'
import { Warning } from './warning.ts'

export function configCommand(asked?: string): Command {
  const verbs = { show: showVerb, check: checkVerb, reload: reloadVerb }
  return noun('config', verbs, asked, ['lockstep config show', 'lockstep config check'])
}

function showVerb(): Command {
  return verb('show', 'config.show', {
    more: 'It says whether the file has changed since.',
    lines: shownLines,
    examples: ['lockstep config show', 'lockstep config show --json | jq .settings.operators'],
  })
}

function shownLines({ file, loaded, on_disk, seq, settings, sha256 }: ConfigInForce): string[] {
  const from = seq === null ? 'read from the file; none is in force' : `loaded ${timeText(loaded ?? '')} (entry ${seq})`
  return [
    from,
    `${file}  ${sha256 ?? ''}${on_disk === 'same' ? '' : `, ${on_disk} on disk`}`,
    ...Object.entries(settings).map(([setting, value]) => `  ${setting}: ${JSON.stringify(value)}`),
  ]
}

function checkVerb(): Command {
  return verb('check', 'config.check', {
    more: 'Nothing is changed. The exit code is 2 if the file cannot be loaded.',
    lines: ({ changes, problems }) => {
      if (problems.length > 0) return problems.map(problemText)
      return changes.length === 0 ? 'the file is valid, and a reload would change nothing' : changeLines(changes)
    },
    exit: ({ loadable }) => (loadable ? 0 : codes.CONFIG_INVALID.exit),
    examples: ['lockstep config check', 'lockstep config check --json | jq -r .sha256'],
  })
}

function changeLines(changes: CheckedConfig['changes']): string[] {
  return changes.map(
    ({ after, before, setting }) => `${setting}: ${JSON.stringify(before)} -> ${JSON.stringify(after)}`,
  )
}

function reloadVerb(): Command {
  return verb('reload', 'config.reload', {
    flags: { sha256: { name: 'sha256' } },
    more: 'Until then an edited or broken file has no effect. This is an audited event.',
    lines: ({ changes, replayed, ...shown }) => [
      ...(replayed ? ['the configuration has not changed'] : changeLines(changes)),
      ...shownLines(shown),
    ],
    examples: ['lockstep config reload', 'lockstep --operator config reload --json'],
  })
}

/** What the doctor says. The configuration in force holds whatever is wrong with the file, so that is a warning. */
export async function configFinding(globals: Globals): Promise<string> {
  const served = await serviceOf(globals)
  const ask = ({ config }: Api) => config.show()
  const shown = served === undefined ? await withOpenLedger(globals, 'doctor', ask, 'query') : await ask(served)
  const { file, on_disk, seq, settings } = shown
  const text = `release authority ${settings.release_authority}, in force by entry ${seq}`
  if (on_disk === 'same') return text
  throw new Warning(`${text}; ${file} is ${on_disk}, which has no effect: see "lockstep config check"`)
}
