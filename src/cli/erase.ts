import type { Command } from 'commander'
import type { ErasedTexts, PreviewedErasure } from '../api/shapes/erasures.ts'
import { timeText } from './output.ts'
import { noun, verb } from './verb.ts'

const digest = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'

export function eraseVerb(): Command {
  return verb('erase', 'erasures.erase', {
    flags: { approval_id: { name: 'approval' } },
    more:
      'The caller is an operator, and another operator approved exactly this erasure ("lockstep erasure approve"). ' +
      'It is an audited event, and every proof of before still verifies. An erased free text reads as "[erased]".',
    lines: erasedLines,
    examples: [
      `lockstep erase --digest ${digest} --reason court_order --approval era_V1StGXR8_Z5jdHi6B`,
      'lockstep erase --texts --approval era_V1StGXR8_Z5jdHi6B',
    ],
  })
}

function erasedLines({ digests, files, may_remain, replayed, seq, texts }: ErasedTexts): string[] {
  const what = digests.length > 0 ? counted(digests.length, 'object') : counted(texts, 'free text')
  return [
    `${what} ${replayed ? 'had been erased already' : 'erased'} (entry ${seq})`,
    ...remainderLines(files, may_remain),
  ]
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`

/** What people are told about copies of erased texts. */
export function remainderLines(files: ErasedTexts['files'], mayRemain: readonly string[]): string[] {
  return [
    ...(files === 'pending' ? ['a reader still keeps some of the old files; they are written again later'] : []),
    ...mayRemain.map((path) => `${path} can have a copy from before`),
    'Backups, exports and copies outside the ledger are not changed.',
  ]
}

export function erasureCommand(asked?: string): Command {
  return noun('erasure', { preview: previewVerb, approve: approveVerb }, asked, [
    'lockstep erasure preview --case-id CASE-17',
    'lockstep --actor human:BECCA erasure approve --case-id CASE-17 --to 4200 --reason data_subject_request',
  ])
}

/** The members of a selection are options of their own. */
const selection = { expand: ['texts'] }

function previewVerb(): Command {
  return verb('preview', 'erasures.preview', {
    ...selection,
    lines: previewLines,
    examples: ['lockstep erasure preview --case-id CASE-17', 'lockstep erasure preview --from 12 --to 13 --json'],
  })
}

function previewLines({ count, hold_id, more, selection, texts }: PreviewedErasure): string[] {
  const { from, to } = selection
  return [
    ...texts.map(({ paths, seq }) => `${seq} ${paths.join(' ')}`),
    `${counted(count, 'free text')} in the entries from ${from} up to, and without, ${to}`,
    ...(more
      ? [`there are more; approve these with --from ${from} --to ${to}, and the others from ${to} on after that`]
      : []),
    ...(hold_id === null ? [] : [`the legal hold ${hold_id} covers some of them, so they cannot be erased`]),
  ]
}

function approveVerb(): Command {
  return verb('approve', 'erasures.approve', {
    ...selection,
    more:
      'The release authority or an operator approves, and another operator erases. Name objects with --digest, or select ' +
      'the free texts of entries. Without --to, only the entries so far are selected.',
    lines: ({ approval_id, digests, expires_at, texts }) => {
      const what = texts === null ? counted(digests.length, 'object') : `the free texts of ${JSON.stringify(texts)}`
      return `${approval_id} approves the erasure of ${what}; ${expires_at === null ? 'it does not expire' : `it expires ${timeText(expires_at)}`}`
    },
    examples: [
      `lockstep --actor human:BECCA erasure approve --digest ${digest} --reason court_order`,
      'lockstep --actor human:BECCA erasure approve --run-id run_host_1 --field /data/notes --reason secret_leaked',
    ],
  })
}
