import type { Command } from 'commander'
import type { ShownRetention, SweptTexts } from '../api/shapes/retention.ts'
import { remainderLines } from './erase.ts'
import { durationText, timeText } from './output.ts'
import { noun, verb } from './verb.ts'

export function retentionCommand(asked?: string): Command {
  const verbs = { show: showVerb, sweep: sweepVerb, hold: holdVerb, lift: liftVerb }
  return noun('retention', verbs, asked, ['lockstep retention show', 'lockstep retention sweep --dry-run'])
}

function showVerb(): Command {
  return verb('show', 'retention.show', {
    lines: shownLines,
    examples: ['lockstep retention show', 'lockstep retention show --json | jq .holds'],
  })
}

function shownLines({ classes, holds, minimum_s }: ShownRetention): string[] {
  return [
    `every text is kept for at least ${durationText(minimum_s)}`,
    ...classes.map(
      ({ class: name, covers, delete_after_s }) =>
        `${name}: ${covers.join(', ')} after ${durationText(delete_after_s)}`,
    ),
    ...holds.map(({ covers, hold_id, reason, time }) => {
      return `${hold_id} holds ${JSON.stringify(covers)} since ${timeText(time)}: ${reason}`
    }),
  ]
}

function sweepVerb(): Command {
  return verb('sweep', 'retention.sweep', {
    more: 'A service does this by itself. Texts under a legal hold stay.',
    lines: sweptLines,
    examples: ['lockstep retention sweep --dry-run', 'lockstep retention sweep --json'],
  })
}

function sweptLines({ classes, dry_run, files, held, may_remain }: SweptTexts): string[] {
  return [
    ...classes.map(({ class: name, erased }) => `${name}: ${erased} ${dry_run ? 'would be erased' : 'erased'}`),
    ...(held > 0 ? [`${held} are due but held`] : []),
    ...(dry_run ? [] : remainderLines(files, may_remain)),
  ]
}

function holdVerb(): Command {
  return verb('hold', 'retention.hold', {
    lines: ({ covers, hold_id }) => `${hold_id} holds ${JSON.stringify(covers)}`,
    examples: [
      'lockstep retention hold --case-id CASE-17 --reason litigation',
      'lockstep retention hold --all --reason investigation --json | jq -r .hold_id',
    ],
  })
}

function liftVerb(): Command {
  return verb('lift', 'retention.lift', {
    arguments: ['hold_id'],
    lines: ({ hold_id }) => `${hold_id} is lifted`,
    examples: [
      'lockstep retention lift hld_V1StGXR8_Z5jdHi6B',
      'lockstep --actor human:BECCA retention lift hld_V1StGXR8_Z5jdHi6B',
    ],
  })
}
