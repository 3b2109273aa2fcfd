import { LockstepError, messageOf, systemCodeOf } from '../errors.ts'
import { given } from '../kernel/given.ts'

/**
 * Whether Node's permission model denied an operation. Node was then started with `--permission`
 * (`--experimental-permission` in Node 20).
 */
export function isDeniedByNode(error: unknown): boolean {
  return ['ERR_ACCESS_DENIED', 'ERR_DLOPEN_DISABLED'].includes(systemCodeOf(error) ?? '')
}

/** FILE_DENIED, with the flag that allows the operation. */
export function deniedByNode(error: unknown, doing: string): LockstepError {
  const { permission, resource } = error as { permission?: unknown; resource?: unknown }
  const flag = systemCodeOf(error) === 'ERR_DLOPEN_DISABLED' ? '--allow-addons' : flags[String(permission)]
  const needed = `${allFlags.slice(0, -1).join(', ')} and ${allFlags.at(-1)}`
  return new LockstepError('FILE_DENIED', `${doing}: Node’s permission model denies it: ${messageOf(error)}`, {
    details: {
      system_code: systemCodeOf(error),
      ...given({ flag }),
      ...(typeof resource === 'string' && resource !== '' ? { resource } : {}),
    },
    hint: /fsync/.test(messageOf(error))
      ? withoutSync
      : `Lockstep needs ${needed} (the first two for the ledger’s folder). Otherwise, start node without --permission.`,
    cause: error,
  })
}

/** Versions of Node whose permission model denies fsync, so that no process can make anything durable. */
const withoutSync =
  'Lockstep needs fsync to make data durable, and this version of Node has no flag to allow it. Start node without --permission.'
const flags: Record<string, string> = {
  Addon: '--allow-addons',
  ChildProcess: '--allow-child-process',
  FileSystemRead: '--allow-fs-read',
  FileSystemWrite: '--allow-fs-write',
}
const allFlags = ['--allow-fs-read', '--allow-fs-write', '--allow-addons', '--allow-child-process']
