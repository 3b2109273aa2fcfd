import type { Command } from 'commander'
import { LockstepError } from '../errors.ts'
import { type HarnessName, harnessNames } from '../hooks/forms.ts'
import { folderOf } from './context.ts'
import { gitVerb } from './hook-git.ts'
import { type Changed, installHooks, settingsFile, uninstallHooks } from './hook-install.ts'
import { runHook } from './hook-run.ts'
import { places } from './hook-settings.ts'
import { local, noun, text, toggle, type Verbs } from './verb.ts'

export function hookCommand(verb?: string): Command {
  const harnesses = harnessNames.map((harness): [string, () => Command] => [harness, () => harnessVerb(harness)])
  const verbs: Verbs = { ...Object.fromEntries(harnesses), git: gitVerb }
  return noun('hook', verbs, verb, [
    'lockstep hook claude --install    # guard the agents of Claude Code in this project',
    'lockstep hook claude --uninstall',
  ])
}

function harnessVerb(harness: HarnessName): Command {
  const { next, title } = places[harness]
  return local(harness, `Answers a hook of ${title}, or installs the hooks.`, {
    more: 'As a hook it reads the document of an event from stdin, and prints what the harness takes as an answer.',
    own: {
      install: toggle('--install', `add the hooks to the settings of ${title}; they call a script without Node`),
      uninstall: toggle('--uninstall', 'take the hooks out again'),
      user: toggle('--user', 'in the settings of the user, for all projects'),
      project: toggle('--project', 'in the settings of this project (default)'),
      enforce: toggle('--enforce', 'deny every tool while the service does not answer (default)'),
      warn: toggle('--warn', 'let tools run while the service does not answer, and say so'),
      event: text('--event <name>', 'the name of the event (default: what the document says)'),
      process: text('--process <pid>', 'the process above the hook, and its start time'),
    },
    run: async ({ given, globals }): Promise<Changed | undefined> => {
      demandOne(given, 'install', 'uninstall')
      demandOne(given, 'user', 'project')
      demandOne(given, 'enforce', 'warn')
      const dir = folderOf(globals)
      const file = settingsFile(harness, given.user ? 'user' : 'project', dir)
      if (given.install) return installHooks(harness, file, !given.warn)
      if (given.uninstall) return uninstallHooks(harness, file)
      const { event, process } = given
      await runHook({ dir, event, harness, isEnforced: !given.warn, process })
      return undefined
    },
    lines: (changed, { given }) => {
      if (changed === undefined) return []
      const { backup, file, is_changed } = changed
      const done = given.install ? 'has the hooks' : 'has no hooks of Lockstep'
      const kept = backup === null ? [] : [`what was there before is kept in ${backup}`]
      return [
        `${file} ${done}${is_changed ? '' : ', as before'}`,
        ...kept,
        ...(given.install && next !== undefined ? [next] : []),
      ]
    },
    examples: [
      `lockstep hook ${harness} --install --enforce`,
      `lockstep hook ${harness} --install --user --warn`,
      `lockstep hook ${harness} < event.json`,
    ],
  })
}

function demandOne(given: Readonly<Record<string, unknown>>, one: string, other: string): void {
  if (!given[one] || !given[other]) return
  throw new LockstepError('INVALID_INPUT', `--${one} and --${other} exclude each other`)
}
