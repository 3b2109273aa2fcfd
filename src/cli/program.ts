import { readFileSync } from 'node:fs'
import { Command, Help, Option } from 'commander'
import { named } from './input.ts'
import { wholeNumber } from './values.ts'

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

/** A command below the program. Only the one that is called is loaded, since its tables and schemas take time. */
interface Part {
  about: string
  /** With the verb that was asked for, only that verb is built. */
  load: (verb?: string) => Promise<Command>
}

const parts: Readonly<Record<string, Part>> = {
  init: {
    about: 'Creates a ledger in a folder. It governs this folder and everything below it.',
    load: async () => (await import('./init.ts')).initVerb(),
  },
  lock: {
    about: 'Acquire, renew, release, inspect and recover locks.',
    load: async (verb) => (await import('./lock.ts')).lockCommand(verb),
  },
  run: {
    about: 'Create runs, authorise their actions by lane and role, and record the results.',
    load: async (verb) => (await import('./run.ts')).runsCommand(verb),
  },
  turn: {
    about: 'Stage, validate and promote the turns of a run: atomic, ordered publishing of JSON state.',
    load: async (verb) => (await import('./turn.ts')).turnCommand(verb),
  },
  stem: {
    about: 'Read, import and check the promoted state of a workspace, and the links between its stems.',
    load: async (verb) => (await import('./stem.ts')).stemCommand(verb),
  },
  policy: {
    about: 'Show, check and load the policy: the lanes and roles that govern runs.',
    load: async (verb) => (await import('./policy.ts')).policyCommand(verb),
  },
  config: {
    about: 'Show, check and load the configuration: who may do what, and where files are.',
    load: async (verb) => (await import('./config.ts')).configCommand(verb),
  },
  token: {
    about: 'Create, list and revoke the tokens of callers of the service.',
    load: async (verb) => (await import('./token.ts')).tokenCommand(verb),
  },
  audit: {
    about: 'Append audit events, and read the entries of the ledger as audit events.',
    load: async (verb) => (await import('./audit.ts')).auditCommand(verb),
  },
  export: {
    about: 'Export entries with proofs, for readers without the ledger.',
    load: async (verb) => (await import('./export.ts')).exportCommand(verb),
  },
  erase: {
    about: 'Erases objects, and keeps every proof.',
    load: async () => (await import('./erase.ts')).eraseVerb(),
  },
  erasure: {
    about: 'Show what an erasure would remove, and approve it for another person.',
    load: async (verb) => (await import('./erase.ts')).erasureCommand(verb),
  },
  retention: {
    about: 'Show and apply how long texts are kept, and set legal holds.',
    load: async (verb) => (await import('./retention.ts')).retentionCommand(verb),
  },
  tiles: {
    about: 'Export the log as tiles, which any web server can serve to outside verifiers.',
    load: async (verb) => (await import('./tiles.ts')).tilesCommand(verb),
  },
  head: {
    about: 'Shows the tree head: origin, size and root.',
    load: async () => (await import('./log.ts')).headVerb(),
  },
  prove: {
    about: 'Proves that the ledger contains an entry.',
    load: async () => (await import('./log.ts')).proveVerb(),
  },
  consistency: {
    about: 'Proves that a later tree begins with an earlier one.',
    load: async () => (await import('./log.ts')).consistencyVerb(),
  },
  clock: {
    about: 'Correct the time of entries after the wall clock was wrong.',
    load: async (verb) => (await import('./clock.ts')).clockCommand(verb),
  },
  key: {
    about: 'Add, retire and list the keys that sign for the ledger.',
    load: async (verb) => (await import('./key.ts')).keyCommand(verb),
  },
  engine: {
    about: 'Prepare a PostgreSQL database for ledgers, and show which engine has the ledger.',
    load: async (verb) => (await import('./engine.ts')).engineCommand(verb),
  },
  serve: {
    about: 'Serves the ledger to other processes, until it is told to stop.',
    load: async () => (await import('./serve.ts')).serveVerb(),
  },
  mcp: {
    about: 'Serves the tools of an MCP client on stdin and stdout.',
    load: async () => (await import('./mcp.ts')).mcpVerb(),
  },
  witness: {
    about: 'Cosign the checkpoints of other ledgers, and have those of this ledger cosigned.',
    load: async (verb) => (await import('./witness.ts')).witnessCommand(verb),
  },
  hook: {
    about: 'Guard and record what coding agents do, by the hooks of their harness and of Git.',
    load: async (verb) => (await import('./hook.ts')).hookCommand(verb),
  },
  verify: {
    about: 'Reads all stored bytes and derives all state again.',
    load: async () => (await import('./verify.ts')).verifyVerb(),
  },
  backup: {
    about: 'Writes a verified backup of the whole ledger to a new file.',
    load: async () => (await import('./backup.ts')).backupVerb(),
  },
  restore: {
    about: 'Restores a backup into a folder without a ledger.',
    load: async () => (await import('./backup.ts')).restoreVerb(),
  },
  salvage: {
    about: 'Copies what can be proved of a damaged ledger to a new folder.',
    load: async () => (await import('./backup.ts')).salvageVerb(),
  },
  adopt: {
    about: 'Says which ledger a copied or moved folder has.',
    load: async () => (await import('./backup.ts')).adoptVerb(),
  },
  migrate: {
    about: 'Moves the ledger to another place, with its name and its key.',
    load: async () => (await import('./migrate.ts')).migrateVerb(),
  },
  completion: {
    about: 'Prints the script that completes commands in bash, zsh or fish.',
    load: async () => (await import('./completion.ts')).completionVerb(),
  },
  doctor: {
    about: 'Checks that locks work in this environment.',
    load: async () => (await import('./doctor.ts')).doctorVerb(),
  },
}

/**
 * Builds the program: the command that the words name in full, the others by name and description. Without words, all
 * commands in full. `docs/reference/errors.md` lists the exit codes.
 */
export async function program(argv?: readonly string[]): Promise<Command> {
  const lockstep = new Command('lockstep')
    .description('An append-only ledger for fleets of AI agents: locks, fencing tokens, audit and proofs.')
    .version(manifest.version)
  lockstep.addHelpText(
    'after',
    '\nExamples:\n  lockstep init\n  lockstep lock run reports -- npm run report\n\nExit codes: 0 ok, 2 usage, 3 not found, 4 denied, 5 conflict, 6 integrity, 7 unavailable, 8 timed out,\n75 lock contention, 76 lease lost, 128+n signal.',
  )
  const [named, verb] = wordsOf(argv ?? []).filter((word, index) => index > 0 || word !== 'help')
  for (const [name, { about, load }] of Object.entries(parts)) {
    const isLoaded = argv === undefined || name === named
    const command = isLoaded ? await load(verb) : new Command(name)
    if (command.description() === '') command.description(about)
    lockstep.addCommand(command)
  }
  // An option of the verb itself takes precedence, such as the --actor of "token create".
  const own = lockstep.commands
    .find((one) => one.name() === named)
    ?.commands.find((one) => one.name() === verb)?.options
  for (const option of globalOptions()) {
    if (own === undefined || !own.some(({ long }) => long === option.long)) lockstep.addOption(option)
  }
  return strict(lockstep)
}

function globalOptions(): Option[] {
  return [
    new Option('--dir <dir>', 'the folder to work in; the innermost ledger above it is used (LOCKSTEP_DIR)'),
    new Option(
      '--actor <actor>',
      'the actor: agent:ID, human:ID, system:ID, or the bare ID of an agent (LOCKSTEP_ACTOR)',
    ),
    new Option('--on-behalf-of <party>', 'the party that the actor acts for, as it claims (LOCKSTEP_ON_BEHALF_OF)'),
    new Option('--json', 'print one JSON document on stdout'),
    new Option(
      '--operator',
      'call the service with the operator token that "lockstep init" wrote (see also LOCKSTEP_BEARER_TOKEN)',
    ),
    new Option('--utc', 'print absolute times in UTC, instead of times relative to now'),
    new Option('--absolute', 'print absolute times in the time zone of this machine'),
    new Option('--open-wait <seconds>', 'how long a command that writes waits if another process has the ledger open')
      .argParser((text: string) => named('--open-wait', () => wholeNumber(text)))
      .default(30),
  ]
}

/** The words of an argument list that are neither options nor their values. Words behind -- are another command's. */
export function wordsOf(argv: readonly string[]): string[] {
  const takesValue = new Set(globalOptions().flatMap(({ long, required }) => (required && long ? [long] : [])))
  const end = argv.indexOf('--')
  const ours = argv.slice(0, end === -1 ? undefined : end)
  return ours.filter((word, index) => !word.startsWith('-') && !takesValue.has(ours[index - 1] ?? ''))
}

const plainHelp = new Help()

/**
 * Configures all commands: usage errors are thrown like other errors, and each help text shows the global options and
 * marks required options.
 */
function strict(command: Command): Command {
  command
    .configureHelp({
      showGlobalOptions: true,
      optionDescription: (option) => `${plainHelp.optionDescription(option)}${option.mandatory ? ' (required)' : ''}`,
    })
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showHelpAfterError(false)
  for (const child of command.commands) strict(child)
  return command
}
