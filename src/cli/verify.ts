import type { Command } from 'commander'
import type { LedgerHere } from '../api/api.ts'
import type { HeadSetAside } from '../backup/set-head-aside.ts'
import { governingLayout } from '../disk/permissions.ts'
import { given } from '../kernel/given.ts'
import { compareKept, demandQuorum, type KeptHead } from '../nouns/kept-checkpoints.ts'
import type { Verified } from '../verify/verify.ts'
import { acceptingHead, acceptMissingHead } from './accept-head.ts'
import { asOf, folderOf, serviceOf, withLedger } from './context.ts'
import { readKept } from './kept-files.ts'
import { say } from './output.ts'
import { progressBar } from './progress.ts'
import { local, text, texts, toggle } from './verb.ts'
import { type WrittenPage, writePage } from './verify-page.ts'
import { newestWitnessed, policyOf } from './witnessed.ts'

export function verifyVerb(): Command {
  return local('verify', 'Reads all stored bytes and derives all state again.', {
    more: 'A failure names the first bad entry.',
    own: {
      ...acceptingHead,
      checkpoint: texts(
        '--checkpoint <file...>',
        'also compare with signed checkpoints that were kept in another place (lockstep head --signed)',
      ),
      key: text('--key <vkey>', 'with --checkpoint: the key line that was kept with them (default: the ledger’s own)'),
      page: text('--page <file>', 'write a page that checks proofs, growths and bundles offline, in a browser'),
      witnessPolicy: text(
        '--witness-policy <file>',
        'a quorum of this policy must have cosigned the checkpoints (default: the newest that is kept in .lockstep)',
      ),
      rebuild: toggle('--rebuild', 'first rebuild rows and receipts from the entries'),
    },
    run: async ({ given: asked, globals }): Promise<Shown | WrittenPage> => {
      const { acceptMissingHead: accepts, key, page, reason, rebuild: toRebuild, witnessPolicy } = asked
      if (page !== undefined) return writePage(page, [asked.checkpoint, key, toRebuild, accepts, witnessPolicy])
      const files = readKept(asked.checkpoint)
      const policy = witnessPolicy === undefined ? undefined : await policyOf(witnessPolicy)
      const accepted = accepts ? await acceptMissingHead(globals, reason) : undefined
      /** Compares a verified tree with what was kept, or the stored one if none is verified yet. */
      const keptBefore = async (verified?: Verified) => {
        if (files.length === 0 && policy === undefined) return undefined
        const compare = async (api: LedgerHere) => {
          const kept = policy !== undefined && files.length === 0 ? [await newestWitnessed(api, policy)] : files
          if (policy !== undefined) await demandQuorum(kept, policy)
          const { root, size } = verified ?? (await api.head.get())
          return compareKept(api, { kept, key, root, size })
        }
        return withLedger(globals, 'verify', compare, 'query')
      }
      const compared = async (verified: Verified) => {
        const shown = shownOf(verified, accepted)
        const found = await keptBefore(verified)
        if (found === undefined) return shown
        return { ...shown, checkpoints: found.map(({ growth, ...head }) => head) }
      }
      const rebuild = toRebuild === true
      // A history that is not the kept one is evidence, and so are its rows: then nothing is rebuilt.
      if (rebuild) await keptBefore()
      const served = rebuild ? undefined : await serviceOf(globals)
      if (served !== undefined) return compared(await served.log.verify())
      const { verifyInChild } = await import('../verify/verify-in-child.ts')
      const bar = await progressBar(globals, 'verify')
      try {
        const verified = await verifyInChild(governingLayout(folderOf(globals)), {
          onProgress: ({ done, total }) => bar.show(done, total),
          onSnapshot: (size) => say(asOf(size)),
          openWaitSeconds: globals.openWait ?? 30,
          rebuild,
        })
        bar.stop()
        return compared(verified)
      } finally {
        bar.stop()
      }
    },
    lines: (answer) =>
      'page' in answer
        ? [`${answer.page} checks evidence in a browser, without a network`, `sha256 ${answer.sha256}`]
        : verifiedLines(answer),
    examples: [
      'lockstep verify',
      'lockstep verify --json --dir ~/work/fleet',
      'lockstep verify --checkpoint /mnt/kept/*.txt --key "$(cat /mnt/kept/key.pub)"',
      'lockstep verify --witness-policy witnesses.txt',
      'lockstep verify --rebuild',
      'lockstep verify --accept-missing-head --reason "the disk image had no head file"',
      'lockstep verify --page verify.html',
    ],
  })
}

function verifiedLines({ checkpoints = [], entries, rebuilt, root, rows }: Shown): string[] {
  return [
    ...(rebuilt === undefined ? [] : rebuiltLines(rebuilt)),
    `verified ${entries} entries and ${rows} rows; root ${root}`,
    ...checkpoints.map(({ file, root, size }) => `extends the checkpoint of size ${size}, root ${root}, in ${file}`),
  ]
}

function rebuiltLines({ anchor_size, replaced, replaced_rows }: NonNullable<Verified['rebuilt']>): string[] {
  const anchor =
    anchor_size === null
      ? 'rebuilt from entries that nothing outside the database confirms: .lockstep/head is missing'
      : `rebuilt from entries that match .lockstep/head at size ${anchor_size}`
  if (replaced === null) return [anchor, 'no row differed']
  return [anchor, `${replaced_rows} rows differed; what they said is kept in ${replaced}`]
}

/** The verification, the kept checkpoints that the ledger extends, and the head file that was accepted. */
type Shown = Verified & { accepted?: HeadSetAside; checkpoints?: KeptHead[]; verified: true }

function shownOf(verified: Verified, accepted: HeadSetAside | undefined): Shown {
  for (const warning of verified.warnings) say(`warning: ${warning}`)
  return { verified: true, ...verified, ...given({ accepted }) }
}
