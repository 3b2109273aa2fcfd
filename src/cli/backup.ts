import { resolve } from 'node:path'
import type { Command } from 'commander'
import { userActor, userAuthn } from '../disk/user.ts'
import { LockstepError } from '../errors.ts'
import { knownAs } from '../kernel/ids.ts'
import { limits } from '../kernel/limits.ts'
import { actorOf, folderOf, serviceOf, withOpenLedger } from './context.ts'
import { say } from './output.ts'
import { progressBar } from './progress.ts'
import { counted } from './turn-text.ts'
import { local, text, toggle, verb } from './verb.ts'

export function backupVerb(): Command {
  return verb('backup', 'log.backup', {
    arguments: ['file'],
    more: 'Others use the ledger meanwhile. The backup has the entries, objects, configuration, policy and signed head of one moment. It does not have the signing key.',
    run: async ({ command, globals, input }) => {
      const bar = await progressBar(globals, 'backup')
      try {
        const onProgress = (done: number, total: number) => bar.show(done, total)
        const file = resolve(input.file)
        const served = await serviceOf(globals)
        if (served !== undefined) return await served.log.backup({ file })
        const snapshot = await withOpenLedger(globals, command, (ledger) => ledger.snapshot())
        return await snapshot.backUp({ file, onProgress }).finally(() => snapshot.close())
      } finally {
        bar.stop()
      }
    },
    lines: ({ bytes, file, origin, root, sha256, size }) => [
      `${file}: ${size} entries of ${origin}, verified, ${bytes} bytes`,
      `root ${root}`,
      `sha256 ${sha256}`,
    ],
    examples: ['lockstep backup ledger-2026-05-01.tar.gz', 'lockstep backup /mnt/backup/ledger.tar.gz --json'],
  })
}

export function restoreVerb(): Command {
  return local('restore', 'Restores a backup into a folder without a ledger.', {
    more: 'Everything is verified before the ledger appears. It gets a new name and a new key, and its tokens are above all tokens of the ledger in the backup.',
    errors: ['FILE_DENIED', 'FORMAT_TOO_NEW', 'LEDGER_EXISTS', 'NOT_FOUND', 'VERIFY_FAILED'],
    own: {
      file: text('<file>', 'the backup'),
      target: text('<dir>', 'the folder that the restored ledger governs; it is made if it is missing'),
      acceptPermissions: toggle('--accept-permissions', 'accept and record that the disk stores no file modes'),
      checkpoint: text(
        '--checkpoint <file>',
        'a signed checkpoint that was kept elsewhere; an older or different backup is refused',
      ),
      nested: toggle('--nested', 'allow a ledger inside or above another'),
      origin: text('--origin <name>', 'the new name of the ledger (default: lockstep.local/<ledger_id>)'),
    },
    run: async ({ given, globals }) => {
      const { restoreBackup } = await import('../backup/restore.ts')
      const { readTextFile } = await import('../disk/regular-file.ts')
      const kept = given.checkpoint
      const bar = await progressBar(globals, 'restore')
      try {
        return await restoreBackup({
          actor: knownAs(actorOf(globals) ?? userActor(), userAuthn()),
          acceptPermissions: given.acceptPermissions,
          checkpoint:
            kept === undefined ? undefined : (readTextFile(kept, limits.documentBytes, refuse) ?? missing(kept)),
          dir: given.target ?? '.',
          file: resolve(given.file ?? ''),
          nested: given.nested,
          onProgress: (done, total) => bar.show(done, total),
          origin: given.origin,
        })
      } finally {
        bar.stop()
      }

      function refuse(is: string): LockstepError {
        return new LockstepError('INVALID_INPUT', `${kept} ${is}`)
      }
    },
    lines: ({ dir, held, origin, previous, running, size, vkey }) => {
      if (held + running > 0) {
        const open = `${counted(held, 'held lock')}, ${counted(running, 'running run')}`
        say(`still open: ${open}. They end by their leases, or by hand.`)
      }
      return [
        `ledger ${origin} governs ${dir}`,
        `key ${vkey}`,
        `${size - 1} entries of ${previous.origin}, and the entry of this restore`,
      ]
    },
    examples: [
      'lockstep restore ledger-2026-05-01.tar.gz ~/work/fleet',
      'lockstep restore ledger.tar.gz restored --checkpoint checkpoint-2026-05-01.txt',
    ],
  })
}

export function salvageVerb(): Command {
  return local('salvage', 'Copies what can be proved of a damaged ledger to a new folder.', {
    more: 'It keeps every entry before the first bad one, also if CURRENT or MANIFEST is lost. The readable entries after that go to a file. The damaged ledger is not changed.',
    errors: ['FILE_DENIED', 'LEDGER_EXISTS', 'NOT_FOUND', 'VERIFY_FAILED'],
    own: {
      acceptPermissions: toggle('--accept-permissions', 'accept and record that the disk stores no file modes'),
      nested: toggle('--nested', 'allow a ledger inside or above another'),
      origin: text('--origin <name>', 'the new name of the ledger (default: lockstep.local/<ledger_id>)'),
      to: { ...text('--to <dir>', 'the folder of the new ledger; it is made if it is missing'), isRequired: true },
    },
    run: async ({ given, globals }) => {
      const { salvageLedger } = await import('../backup/salvage.ts')
      const { governingLayout } = await import('../disk/permissions.ts')
      const bar = await progressBar(globals, 'salvage')
      try {
        return await salvageLedger(governingLayout(folderOf(globals)), {
          actor: knownAs(actorOf(globals) ?? userActor(), userAuthn()),
          acceptPermissions: given.acceptPermissions,
          nested: given.nested,
          onProgress: (done, total) => bar.show(done, total),
          origin: given.origin,
          to: given.to ?? '.',
        })
      } finally {
        bar.stop()
      }
    },
    lines: ({ after, after_file, dir, head_file, origin, previous, problem }) => [
      `ledger ${origin} governs ${dir}`,
      `${previous.size} entries of ${previous.origin}, and the entry of this salvage`,
      ...(problem === null ? [] : [`entry ${previous.size} or one after it is bad: ${problem}`]),
      ...(after_file === null ? [] : [`${after} readable entries after them are in ${after_file}`]),
      headTexts[head_file],
    ],
    examples: ['lockstep salvage --to ~/work/salvaged', 'lockstep salvage --dir ~/work/fleet --to salvaged --json'],
  })
}

const headTexts = {
  differs: 'the head file of the damaged ledger is of another history',
  matches: 'the entries match the head file of the damaged ledger',
  missing: 'the damaged ledger has no readable head file, so nobody knows how long it was',
  shorter: 'the head file of the damaged ledger shows that it had more entries',
}

export function adoptVerb(): Command {
  return local('adopt', 'Says which ledger a copied or moved folder has.', {
    more: 'A ledger whose folder was copied or moved is refused with LEDGER_COPIED until then. Exactly one of --moved and --copied is required.',
    errors: ['FILE_DENIED', 'FILE_READ_ONLY', 'LEDGER_SERVED'],
    own: {
      copied: toggle('--copied', 'the original goes on; this copy gets a new name and key, and higher tokens'),
      moved: toggle('--moved', 'this ledger goes on; the original is gone'),
      origin: text('--origin <name>', 'with --copied: the new name (default: lockstep.local/<ledger_id>)'),
    },
    run: async ({ given, globals }) => {
      const { copied = false, moved = false, origin } = given
      if (copied === moved || (moved && origin !== undefined)) {
        throw new LockstepError('INVALID_INPUT', 'specify exactly one of --moved and --copied; --origin needs --copied')
      }
      const { adoptLedger } = await import('../backup/adopt.ts')
      const { governingLayout } = await import('../disk/permissions.ts')
      return adoptLedger(governingLayout(folderOf(globals)), {
        actor: knownAs(actorOf(globals) ?? userActor(), userAuthn()),
        as: copied ? 'copied' : 'moved',
        openWaitSeconds: globals.openWait ?? limits.openWaitSecondsDefault,
        origin,
      })
    },
    lines: ({ adopted, dir, origin, vkey }) => [
      `ledger ${origin} governs ${dir}${adopted === 'copied' ? ', as a ledger of its own' : ''}`,
      `key ${vkey}`,
    ],
    examples: ['lockstep adopt --moved', 'lockstep adopt --copied --dir ~/work/copy-of-fleet'],
  })
}

function missing(path: string): never {
  throw new LockstepError('NOT_FOUND', `${path} does not exist`, { details: { file: path } })
}
