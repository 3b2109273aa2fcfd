import type { Command } from 'commander'
import type { LedgerHere } from '../api/api.ts'
import { governingLayout } from '../disk/permissions.ts'
import { policyChanges } from '../domain/policy/changes.ts'
import type { PolicyEventData } from '../domain/policy/events.ts'
import { memberChanges } from '../domain/policy/member-changes.ts'
import type { Policy } from '../domain/policy/policy.ts'
import { LockstepError } from '../errors.ts'
import { readPolicy } from '../files/policy/policy-file.ts'
import { invalidPolicy } from '../files/policy/policy-files.ts'
import { keptPolicyText } from '../files/policy/policy-folder.ts'
import { Replay, type Replayed, type ReplayedDifference } from '../nouns/policy/replay.ts'
import { askLedger, folderOf, withLedger } from './context.ts'
import type { Globals } from './globals.ts'
import { policyIn, promotionRole } from './policy-texts.ts'
import { progressBar } from './progress.ts'
import { count, local, text, toggle } from './verb.ts'

/** The word for the policy in force, in place of a folder. */
const inForce = 'in-force'
const listedDefault = 100
/** The progress is shown once for so many entries. */
const shownEvery = 1_000

interface Diff {
  changes: { change: string; id: string; kind: string; members: string[] }[]
  replay: (Replayed & { differences: ReplayedDifference[]; millis: number }) | null
}

export function diffVerb(): Command {
  return local('diff', 'Shows how two policies differ, and with --replay which recorded decisions would.', {
    more: `A policy is a folder with lanes.yaml and roles.yaml, or "${inForce}". Nothing is recorded.`,
    own: {
      before: { ...text('<old>', `the first policy: a folder, or ${inForce}`), isRequired: true },
      after: { ...text('<new>', `the second policy: a folder, or ${inForce}`), isRequired: true },
      replay: toggle('--replay', 'make every recorded decision again under both policies'),
      limit: count('--limit <n>', 'the most decisions to list; all are counted', listedDefault),
      promotionRole,
    },
    errors: ['POLICY_INVALID', 'NOT_FOUND', 'FILE_DENIED', 'INVALID_INPUT'],
    run: async ({
      command,
      given: { after = '', before = '', limit = listedDefault, promotionRole, replay },
      globals,
    }) => {
      const named = (word: string) =>
        word === inForce ? policyInForce(globals, command, promotionRole) : policyIn(word, promotionRole)
      const [old, now] = [await named(before), await named(after)]
      const changes = policyChanges(old, now).map(({ change, id, kind }) => {
        const [from, to] = [old, now].map((policy) => (kind === 'lane' ? policy.lanes : policy.roles).get(id))
        return { change, id, kind, members: change === 'changed' ? memberChanges(from, to) : [] }
      })
      const replayed = replay ? await replayedIn(globals, { after: now, before: old, command, limit }) : null
      return { changes, replay: replayed }
    },
    lines: diffLines,
    examples: [
      'lockstep policy diff in-force contract/v1/policy --replay',
      'lockstep policy diff old-policy new-policy --json | jq .changes',
    ],
  })
}

function diffLines({ changes, replay }: Diff): string[] {
  const lines = changes.flatMap(({ change, id, kind, members }) => [
    `${kind} ${id}: ${change}`,
    ...members.map((member) => `  ${member}`),
  ])
  const same = changes.length === 0 ? ['the policies grant the same'] : []
  if (replay === null) return [...same, ...lines]
  const { decisions, differences, newly_allowed, newly_denied, other_rules, unknown } = replay
  const by = ({ decision, rule_ids }: ReplayedDifference['before']) => `${decision} by ${rule_ids.join(', ')}`
  return [
    ...same,
    ...lines,
    ...differences.map(
      ({ after, before, lane_id, on, run_id, seq, target }) =>
        `entry ${seq}  ${run_id}  ${lane_id ?? 'no lane'}  ${on} ${target}: ${by(before)}; now ${by(after)}`,
    ),
    `${decisions} recorded decisions: ${newly_denied} newly denied, ${newly_allowed} newly allowed, ${other_rules} the same by other rules`,
    ...(unknown === 0
      ? []
      : [`${unknown} cannot be made again, because their facts were not recorded, withheld or erased`]),
  ]
}

/** The policy in force, from the entry that loaded it. Errors: NOT_FOUND, POLICY_INVALID (its text is gone). */
function policyInForce(globals: Globals, command: string, promotionRoles: readonly string[] | undefined) {
  return withLedger(
    globals,
    command,
    async (ledger: LedgerHere): Promise<Policy> => {
      const { seq } = await ledger.policy.show()
      const { lanes, roles } = (await ledger.log.entry({ seq })).data as PolicyEventData<'policy.loaded'>
      const of = ({
        file,
        sha256,
        text = keptPolicyText(governingLayout(folderOf(globals)), sha256),
      }: typeof lanes) => {
        if (text !== undefined) return { file, bytes: Buffer.from(text) }
        throw new LockstepError('POLICY_INVALID', `the text of ${file} that is in force is not kept here`)
      }
      const read = readPolicy({ lanes: of(lanes), roles: of(roles) }, promotionRoles)
      if ('problems' in read) throw invalidPolicy(read.problems)
      return read.policy
    },
    'query',
  )
}

async function replayedIn(
  globals: Globals,
  { after, before, command, limit }: { after: Policy; before: Policy; command: string; limit: number },
): Promise<NonNullable<Diff['replay']>> {
  const bar = await progressBar(globals, 'replaying')
  try {
    return await askLedger(globals, command, async (ledger: LedgerHere) => {
      const started = performance.now()
      const { size } = await ledger.head.get()
      const replay = new Replay({ after, before })
      const differences: ReplayedDifference[] = []
      for await (const entry of ledger.log.read({ from: 0, to: size })) {
        const difference = replay.take(entry)
        if (difference !== undefined && differences.length < limit) differences.push(difference)
        if (entry.seq % shownEvery === 0) bar.show(entry.seq, size)
      }
      return { ...replay.found, differences, millis: Math.round(performance.now() - started) }
    })
  } finally {
    bar.stop()
  }
}
