import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { ApprovalVerification } from '../../src/verify/verify-approvals.ts'
import { type Desk, withDesk } from '../support/approvals.ts'
import { entriesOf } from '../support/entries.ts'

const test = suite('verify: the events of approvals')

function problemOf(entries: readonly Entry[]): string {
  const verification = new ApprovalVerification()
  try {
    for (const entry of entries) verification.entry(entry)
    verification.end({ size: entries.length })
    return 'none'
  } catch (error) {
    assert.instance(error, LockstepError)
    assert.is((error as LockstepError).details.check, 'approvals')
    return (error as LockstepError).message.replace(/^entry \d+ /, '').replace(/apr_[\w-]+/, 'X')
  }
}

/** The entries of an export with two approvals: from the first approval to the end of its run. */
async function history({ approve, export: create, ledger }: Desk): Promise<Entry[]> {
  const named = [await approve('ana', 'attorney_admin', { size: 5 }), await approve('ben', 'compliance', { size: 5 })]
  await create(named)
  await create([])
  return entriesOf(ledger)
}

test('an approval is used once, after it was given, and by the allow that names it', () =>
  withDesk({}, async (desk) => {
    const entries = await history(desk)
    const at = entries.findIndex(({ type }) => type === 'approval.used')
    const given = entries.findIndex(({ type }) => type === 'approval.given')
    const [used, , decided] = entries.slice(at, at + 3) as [Entry, Entry, Entry]
    const without = (...places: number[]) => entries.filter((_, place) => !places.includes(place))
    const replaced = (place: number, entry: Entry) => entries.map((each, index) => (index === place ? entry : each))
    assert.is(problemOf(entries), 'none')
    assert.is(problemOf([...entries, used]), 'uses X, which is not unused')
    assert.is(problemOf(without(given)), 'uses X, which is not unused')
    assert.is(problemOf(replaced(at, { ...used, prev: { ...used.prev, stream: 0 } })), 'uses X, which is not unused')
    assert.is(problemOf(replaced(at, { ...used, run_id: 'run_other_1' })), 'uses X for another run')
    assert.is(problemOf(without(at)), 'allows what needs 2 approvals, after the use of 1')
    assert.is(problemOf(without(at, at + 1)), 'allows what needs 2 approvals, after the use of 0')
    assert.is(problemOf(without(at + 2)), 'allows what needs 0 approvals, after the use of 2')
    const denied = { ...decided, data: { ...decided.data, decision: 'deny' } }
    assert.is(problemOf(replaced(at + 2, denied)), 'allows what needs 0 approvals, after the use of 2')
    assert.is(problemOf(entries.slice(0, at + 1)), 'uses an approval, but no decision follows')
  }))

test.run()
