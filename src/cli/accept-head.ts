import { nanoid } from 'nanoid'
import { governingLayout } from '../disk/permissions.ts'
import { userActor } from '../disk/user.ts'
import { LockstepError } from '../errors.ts'
import { openLog } from '../log/level/open/open.ts'
import { setHeadAside } from '../log/level/open/set-head-aside.ts'
import { actorOf, folderOf, serviceOf } from './context.ts'
import type { Globals } from './globals.ts'
import { text, toggle } from './verb.ts'

/** The options of a command that can go on without the head file. */
export const acceptingHead = {
  acceptMissingHead: toggle(
    '--accept-missing-head',
    'go on although .lockstep/head is missing or not a head of this database; an entry records it',
  ),
  reason: text('--reason <text>', 'with --accept-missing-head: why; the entry has it'),
}

/** What was accepted: why the ledger was refused, and where the file is that was set aside. */
export interface Accepted {
  kept: string | null
  problem: string
}

/**
 * Goes on without the head file of a ledger that is refused because of it: sets the file aside, records that, and signs a
 * new head. Undefined if the head file is in order. The open that follows the refusal reads every byte.
 * Errors: those of `openLedger` that do not concern the head file.
 */
export async function acceptMissingHead(globals: Globals, reason: string | undefined): Promise<Accepted | undefined> {
  if ((await serviceOf(globals)) !== undefined) return undefined
  const dir = folderOf(globals)
  const layout = governingLayout(dir)
  const openWaitSeconds = globals.openWait ?? 30
  const command = 'lockstep verify --accept-missing-head'
  const refusal = await openLog({ command, layout, nonce: () => nanoid(12), openWaitSeconds }).then(
    (log) => log.close(),
    (error: unknown) => {
      if (error instanceof LockstepError && error.details.check === 'head_file') return error
      throw error
    },
  )
  if (refusal === undefined) return undefined
  const problem = refusal.message.slice(0, 1_000)
  const kept = await setHeadAside(layout, nanoid(12))
  const { openLedger } = await import('../open.ts')
  const ledger = await openLedger({
    accept_missing_head: { kept, problem, reason: reason ?? null },
    actor: actorOf(globals) ?? userActor(),
    authn: 'os',
    command,
    dir,
    open_wait_s: openWaitSeconds,
  })
  await ledger.close()
  return { kept, problem }
}

export function acceptedLine({ kept, problem }: Accepted): string {
  const aside = kept === null ? '' : `; the file was set aside as .lockstep/evidence/${kept}`
  return `goes on without its head file (${problem})${aside}`
}
