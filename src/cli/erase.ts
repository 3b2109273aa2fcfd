import type { Command } from 'commander'
import type { ErasedTexts } from '../api/shapes/erasures.ts'
import { timeText } from './output.ts'
import { noun, verb } from './verb.ts'

const digest = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'

export function eraseVerb(): Command {
  return verb('erase', 'erasures.erase', {
    flags: { approval_id: { name: 'approval' } },
    more:
      'The caller is an operator, and another operator approved exactly this erasure ("lockstep erasure approve"). ' +
      'It is an audited event, and every proof of before still verifies.',
    lines: erasedLines,
    examples: [
      `lockstep erase --digest ${digest} --reason court_order --approval era_V1StGXR8_Z5jdHi6B`,
      `lockstep erase --digest ${digest} --reason secret_leaked --approval era_V1StGXR8_Z5jdHi6B --json`,
    ],
  })
}

function erasedLines({ digests, files, may_remain, replayed, seq }: ErasedTexts): string[] {
  const what = `${digests.length} ${digests.length === 1 ? 'object' : 'objects'}`
  return [
    `${what} ${replayed ? 'had been erased already' : 'erased'} (entry ${seq})`,
    ...remainderLines(files, may_remain),
  ]
}

/** What people are told about copies of erased texts. */
export function remainderLines(files: ErasedTexts['files'], mayRemain: readonly string[]): string[] {
  return [
    ...(files === 'pending' ? ['a reader still keeps some of the old files; they are written again later'] : []),
    ...mayRemain.map((path) => `${path} can have a copy from before`),
    'Backups, exports and copies outside the ledger are not changed.',
  ]
}

export function erasureCommand(asked?: string): Command {
  return noun('erasure', { approve: approveVerb }, asked, [
    `lockstep --actor human:BECCA erasure approve --digest ${digest} --reason court_order`,
    `lockstep --actor human:BECCA erasure approve --digest ${digest} --reason secret_leaked --expires 2h`,
  ])
}

function approveVerb(): Command {
  return verb('approve', 'erasures.approve', {
    more: 'The release authority or an operator approves, and another operator erases.',
    lines: ({ approval_id, digests, expires_at }) =>
      `${approval_id} approves the erasure of ${digests.length} objects; ${expires_at === null ? 'it does not expire' : `it expires ${timeText(expires_at)}`}`,
    examples: [
      `lockstep --actor human:BECCA erasure approve --digest ${digest} --reason court_order`,
      `lockstep --actor human:BECCA erasure approve --digest ${digest} --reason secret_leaked --json | jq -r .approval_id`,
    ],
  })
}
