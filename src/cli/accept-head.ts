import { nanoid } from 'nanoid'
import { type HeadSetAside, setHeadAside } from '../backup/set-head-aside.ts'
import { governingLayout } from '../disk/permissions.ts'
import { userActor } from '../disk/user.ts'
import { actorOf, folderOf, serviceOf } from './context.ts'
import type { Globals } from './globals.ts'
import { say } from './output.ts'
import { text, toggle } from './verb.ts'

/** The options of a command that can go on without the head file. */
export const acceptingHead = {
  acceptMissingHead: toggle(
    '--accept-missing-head',
    'go on although .lockstep/head is missing or not a head of this database; an entry records it',
  ),
  reason: text('--reason <text>', 'with --accept-missing-head: why; the entry has it'),
}

/**
 * Goes on without the head file of a ledger that is refused because of it: sets the file aside, records that, and signs a
 * new head. Undefined if the head file is in order. The open that follows the refusal reads every byte.
 * Errors: those of `openLedger` that do not concern the head file.
 */
export async function acceptMissingHead(
  globals: Globals,
  reason: string | undefined,
): Promise<HeadSetAside | undefined> {
  if ((await serviceOf(globals)) !== undefined) return undefined
  const dir = folderOf(globals)
  const layout = governingLayout(dir)
  const openWaitSeconds = globals.openWait ?? 30
  const command = 'lockstep verify --accept-missing-head'
  const aside = await setHeadAside({ command, layout, nonce: () => nanoid(12), openWaitSeconds })
  if (aside === undefined) return undefined
  const { openLedger } = await import('../open.ts')
  const ledger = await openLedger({
    accept_missing_head: { ...aside, reason: reason ?? null },
    actor: actorOf(globals) ?? userActor(),
    authn: 'os',
    command,
    dir,
    open_wait_s: openWaitSeconds,
  })
  await ledger.close()
  const kept = aside.kept === null ? '' : `; the file was set aside as .lockstep/evidence/${aside.kept}`
  say(`the ledger goes on without its head file: ${aside.problem}${kept}`)
  return aside
}
