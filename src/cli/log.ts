import type { Command } from 'commander'
import type { ConsistencyProof, EntryProof, PublishedHead, SignedHead } from '../api/shapes/log.ts'
import { LockstepError } from '../errors.ts'
import type { GrownFromKept } from '../nouns/kept-checkpoints.ts'
import { readKept } from './kept-files.ts'
import { say } from './output.ts'
import { text, texts, toggle, verb } from './verb.ts'

export function headVerb(): Command {
  return verb('head', 'head.signed', {
    about: 'Shows the tree head: origin, size and root.',
    flags: { size: { about: 'the tree head at this earlier size (default: the current size)' } },
    own: { signed: toggle('--signed', 'print a signed checkpoint (C2SP signed note), to keep in another place') },
    call: async (api, input, { given }) => {
      const { origin, size: now } = await api.head.get()
      if (!given.signed) {
        // A ledger whose key is missing has a tree head too.
        const at = input?.size ?? now
        return { origin, size: at, root: (await api.log.consistency({ from: at, to: at })).to_root }
      }
      const { checkpoint, root, size, vkey } = await api.head.signed(input)
      return { origin, size, root, checkpoint, vkey }
    },
    lines: ({ checkpoint, origin, root, size }: Partial<SignedHead> & PublishedHead) => {
      if (checkpoint === undefined) return [`origin ${origin}`, `size ${size}`, `root ${root}`]
      // People compare roots in hex; the note has its own encoding.
      say(`size ${size}, root ${root}`)
      return checkpoint.trimEnd().split('\n')
    },
    examples: ['lockstep head', 'lockstep head --signed > checkpoint-$(date +%F).txt'],
  })
}

export function proveVerb(): Command {
  return verb('prove', 'log.prove', {
    arguments: ['seq'],
    flags: { size: { about: 'prove it in the tree of this size (default: the current size)' } },
    errors: ['VERIFY_FAILED', 'FILE_DENIED'],
    more: 'The lockstep/verify module checks the proof offline.',
    own: {
      format: { ...text('--format <format>', 'print the proof as a text of C2SP tlog-proof'), choices: ['tlog-proof'] },
      witnessPolicy: text(
        '--witness-policy <file>',
        'prove it in the newest checkpoint that a quorum of this policy cosigned',
      ),
    },
    call: async (ledger, input, { given: { witnessPolicy } }) => {
      if (witnessPolicy === undefined) return ledger.log.prove(input)
      if (input.size !== undefined) {
        throw new LockstepError('INVALID_INPUT', '--size and --witness-policy exclude each other')
      }
      const { policyOf, provenToWitnesses } = await import('./witnessed.ts')
      return provenToWitnesses(ledger, input.seq, await policyOf(witnessPolicy))
    },
    lines: async (proven, { given }) => {
      if (given.format === undefined) return proofLines(proven)
      const { tlogProofOf } = await import('./witnessed.ts')
      return tlogProofOf(proven).trimEnd().split('\n')
    },
    examples: [
      'lockstep prove 42',
      'lockstep prove 42 --json > proof-42.json',
      'lockstep prove 42 --witness-policy witnesses.txt --format tlog-proof > 42.tlog-proof',
    ],
  })
}

function proofLines({ entry, leaf_hash, proof, root, seq, size }: EntryProof): string[] {
  return [
    `entry ${seq} (${entry.type}) in the tree of ${size}`,
    `leaf hash ${leaf_hash}`,
    ...proof.map((hash) => `  ${hash}`),
    `root ${root}`,
    'To get the proof as a document that others can check, add --json.',
  ]
}

export function consistencyVerb(): Command {
  return verb('consistency', 'log.consistency', {
    arguments: ['from', 'to'],
    errors: ['VERIFY_FAILED', 'NOT_FOUND', 'FILE_DENIED'],
    flags: {
      from: {
        about: 'the earlier size; with --checkpoint, the size to compare with (default: the current size)',
        isOptional: true,
      },
    },
    more: 'With --checkpoint, it proves that the ledger continues the checkpoints, and says against which key.',
    own: {
      checkpoint: texts('--checkpoint <file...>', 'signed checkpoints that were kept in another place'),
      key: text('--key <vkey>', 'the key line that was kept with them (default: the ledger’s own)'),
    },
    input: ({ from, to }, { checkpoint }) => {
      if (checkpoint === undefined) return { from, to }
      if (to === undefined) return { from: 0, to: from }
      throw new LockstepError('INVALID_INPUT', 'with --checkpoint, give at most one size')
    },
    call: async (api, input, { given }): Promise<ConsistencyProof | GrownFromKept> => {
      if (given.checkpoint === undefined) return api.log.consistency(input)
      const { grownFromKept } = await import('../nouns/kept-checkpoints.ts')
      return grownFromKept(api, { kept: readKept(given.checkpoint), key: given.key, to: input.to })
    },
    lines: (shown) => ('growths' in shown ? keptLines(shown) : growthLines(shown)),
    examples: [
      'lockstep consistency 100',
      'lockstep consistency --checkpoint /mnt/kept/*.txt --key "$(cat /mnt/kept/key.pub)"',
      'lockstep consistency 100 250 --json > growth.json',
    ],
  })
}

function growthLines({ from, from_root, proof, to, to_root }: ConsistencyProof): string[] {
  return [`size ${from} root ${from_root}`, ...proof.map((hash) => `  ${hash}`), `size ${to} root ${to_root}`]
}

function keptLines({ growths, key, root, size, vkey }: GrownFromKept): string[] {
  const whose = key === 'given' ? 'the key that you gave' : `the ledger’s own key, ${vkey}`
  return [
    `size ${size} root ${root}`,
    ...growths.map(({ file, from, from_root, to, to_root }) =>
      from === size && to > size
        ? `is the beginning of the checkpoint of size ${to}, root ${to_root}, in ${file}`
        : `extends the checkpoint of size ${from}, root ${from_root}, in ${file}`,
    ),
    `The checkpoints are signed with ${whose}.`,
  ]
}
