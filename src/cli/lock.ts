import type { Command } from 'commander'
import type { LockList, ReleasedLock } from '../api/shapes/locks.ts'
import { LockstepError } from '../errors.ts'
import { entryLine } from './audit-text.ts'
import { checkEditsVerb } from './check-edits.ts'
import type { Globals } from './globals.ts'
import { acquireVerb } from './lock-acquire.ts'
import { breakVerb, importVerb, recoverVerb, retireVerb } from './lock-care.ts'
import { runCommand } from './lock-run.ts'
import { remainingText, statusLines } from './lock-text.ts'
import { durationText, table, timeText } from './output.ts'
import { pathFromHere } from './values.ts'
import { count, noun, text, toggle, verb } from './verb.ts'

export function lockCommand(asked?: string): Command {
  const verbs = {
    run: runCommand,
    acquire: acquireVerb,
    renew: renewVerb,
    release: releaseVerb,
    status: statusVerb,
    list: listVerb,
    history: historyVerb,
    check: checkVerb,
    'check-edits': checkEditsVerb,
    recover: recoverVerb,
    break: breakVerb,
    retire: retireVerb,
    import: importVerb,
  }
  return noun('lock', verbs, asked, [
    'lockstep lock run reports -- npm run report',
    'lockstep lock list --under packages',
  ])
}

const secret = {
  about:
    'the lock_id that acquire printed, or the name of the lock that LOCKSTEP_LOCK_NAME names: its lock_id is then LOCKSTEP_LOCK_ID',
}

/**
 * The lock_id for what a person named. Under "lock run" the environment has the lock_id, so that it need not be an
 * argument, which every process of the machine can read. Errors: INVALID_INPUT.
 */
function withSecret<Values extends { lock_id?: unknown }>(values: Values, _: object, globals: Globals): Values {
  const { LOCKSTEP_LOCK_DIR: dir, LOCKSTEP_LOCK_ID: lock_id, LOCKSTEP_LOCK_NAME: held } = process.env
  const { lock_id: named } = values
  if (typeof named !== 'string') return values
  // Names are one in all normal forms of Unicode.
  const name = named.normalize('NFC')
  const isOwn =
    held !== undefined && lock_id !== undefined && [held, held.replace(/^resource:/, ''), lock_id].includes(name)
  // The lock of "lock run" is in the ledger of its wrapper, wherever its command works.
  if (isOwn) globals.dir ??= dir
  if (isOwn) return { ...values, lock_id }
  if (named.startsWith('lck_')) return values
  throw new LockstepError(
    'INVALID_INPUT',
    `"${named}" is neither a lock_id nor the lock in LOCKSTEP_LOCK_NAME, which is ${held ?? 'not set'}`,
    { hint: 'Pass the lock_id that "lockstep lock acquire" printed.' },
  )
}

function renewVerb(): Command {
  return verb('renew', 'locks.renew', {
    arguments: ['lock_id'],
    flags: { lock_id: secret },
    more: 'An expired lease cannot be renewed.',
    input: withSecret,
    lines: ({ expires_at, name, token }) => `renewed ${name}, token ${token}; the lease ends ${timeText(expires_at)}`,
    examples: ['lockstep lock renew lck_V1StGXR8_Z5jdHi6B-myT', 'lockstep lock renew "$LOCKSTEP_LOCK_NAME" --json'],
  })
}

function releaseVerb(): Command {
  return verb('release', 'locks.release', {
    arguments: ['lock_id'],
    flags: { lock_id: secret },
    more: 'The release authority releases a project lock by --run-id and --final-status.',
    input: withSecret,
    lines: releasedLines,
    examples: [
      'lockstep lock release lck_V1StGXR8_Z5jdHi6B-myT --outcome failure',
      'lockstep --actor BECCA lock release --run-id run_ACME_shop_2026-02-02_001 --final-status COMPLETE',
    ],
  })
}

function releasedLines({ files, held_ms, late, name, replayed, token }: ReleasedLock): string[] {
  const again = replayed ? ' (already released)' : ''
  const after = late ? ', after its lease had expired' : ''
  return [
    `released ${name}, token ${token}, held for ${durationText(held_ms / 1000)}${after}${again}`,
    ...(files === 'pending' ? ['the lock file could not be written or removed yet; the ledger will retry'] : []),
  ]
}

function statusVerb(): Command {
  return verb('status', 'locks.status', {
    arguments: ['name'],
    flags: {
      name: { about: 'the name of the lock: reports, path:src/, deliverable:DEL-08-05 or project:CLIENT/TYPE/slug' },
    },
    more: 'A lock is free only if there is neither a grant nor a lock file. With --exit-code, 0 means free and 75 means held, by an orphan as well; a lock that never existed is 3.',
    own: { exitCode: toggle('--exit-code', 'answer by the exit code: 0 if the lock is free, 75 if it is held') },
    lines: statusLines,
    exit: ({ state }, { given }) => (given.exitCode && state !== 'free' ? 75 : 0),
    examples: ['lockstep lock status reports', 'lockstep lock status deliverable:DEL-08-05 --exit-code --json'],
  })
}

function listVerb(): Command {
  return verb('list', 'locks.list', {
    flags: {
      paths: {
        about: 'only locks in the way of a change to this file or subtree',
        read: pathFromHere,
      },
      under: {
        about:
          'only deliverables and paths below this folder (relative to the working directory), with lock files of other tools',
      },
    },
    own: {
      cursor: text('--cursor <name>', 'list the locks after this name; the page before prints it as "more"'),
      limit: count('--limit <n>', 'the most locks to list (default: all)'),
    },
    isLong: true,
    call: async (api, input, { given }) => {
      const { locks } = await api.locks.list(input)
      const rest = locks.filter(({ name }) => name > (given.cursor ?? ''))
      const page = rest.slice(0, given.limit)
      return { locks: page, next: page.length < rest.length ? (page.at(-1)?.name ?? null) : null }
    },
    items: ({ locks }) => locks,
    lines: listLines,
    examples: ['lockstep lock list', 'lockstep lock list --orphans --under packages'],
  })
}

/** Said where no folder was searched, because a lock file of another tool may stand in any. */
const elsewhere = 'To find lock files of other tools in folders that were never locked here, use --under.'

async function listLines(
  { locks, next }: LockList & { next: string | null },
  { input }: { input: { orphans?: boolean | undefined; under?: string | undefined } },
) {
  if (locks.length === 0 && input.orphans) return ['no orphans']
  if (locks.length === 0) return ['no locks are held', ...(input.under === undefined ? [elsewhere] : [])]
  const rows = locks.map((lock) => [
    lock.name,
    lock.state,
    lock.holder ?? '',
    lock.token === undefined ? '' : String(lock.token),
    remainingText(lock),
    lock.orphan_reason ?? '',
  ])
  const more = next === null ? [] : [`more: --cursor ${next}`]
  return [...(await table(['NAME', 'STATE', 'HOLDER', 'TOKEN', 'LEASE', ''], rows)), ...more]
}

function historyVerb(): Command {
  return verb('history', 'locks.history', {
    arguments: ['name'],
    flags: { limit: { fallback: '50' } },
    isLong: true,
    call: async (api, input) => {
      const { entries } = await api.locks.history(input)
      const last = entries.at(-1)
      const isMore = entries.length === input.limit && last !== undefined && last.prev.stream !== null
      return { entries, next: isMore ? last.seq : null }
    },
    items: ({ entries }) => entries,
    lines: ({ entries, next }) => [...entries.map(entryLine), ...(next === null ? [] : [`more: --cursor ${next}`])],
    examples: ['lockstep lock history reports', 'lockstep lock history deliverable:DEL-08-05 --limit 5 --json'],
  })
}

function checkVerb(): Command {
  return verb('check', 'locks.check', {
    flags: { target_name: { about: 'the target, as lock acquire named it' } },
    more: 'The exit code is 5 if it does not.',
    lines: ({ run_id, token }) => `LOCKED by ${run_id}, token ${token}`,
    examples: [
      'lockstep lock check --run-id run_ACME_shop_2026-02-02_001 --target "IAMBECCA | ACME | SITE | shop | NEO"',
      'lockstep lock check --run-id "$RUN_ID" --target "$TARGET" && start-the-role',
    ],
  })
}
