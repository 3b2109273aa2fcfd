import { execFileSync } from 'node:child_process'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { membersOf } from '../../src/supervise/descendants.ts'
import { type ListedProcess, listProc, listPs } from '../../src/supervise/process-list.ts'

const members = suite('membersOf')

const one = (pid: number, parent: number, { group = 1, session = 1, start = `s${pid}` } = {}): ListedProcess => ({
  pid,
  parent,
  group,
  session,
  start,
  command: 'made-up',
})
const pidsOf = (listed: ListedProcess[], seen: [number, string][] = [[100, 's100']]) =>
  [...membersOf(listed, 100, new Map(seen)).keys()].sort((left, right) => left - right)

members('are the root and its descendants by parent, group or session, in any order of listing', () => {
  const listed = [one(104, 103), one(103, 102), one(102, 100), one(100, 50), one(105, 1, { group: 100 })]
  equal(pidsOf([...listed, one(106, 1, { session: 105 }), one(107, 1), one(50, 1)]), [100, 102, 103, 104, 105, 106])
})

members('stay known when their parent is gone', () => {
  equal(
    pidsOf(
      [one(100, 50), one(103, 1)],
      [
        [100, 's100'],
        [103, 's103'],
      ],
    ),
    [100, 103],
  )
  equal(
    pidsOf(
      [one(103, 1), one(104, 103)],
      [
        [100, 's100'],
        [103, 's103'],
      ],
    ),
    [100, 103, 104],
  )
})

members('are found by the group of a root that has ended', () => {
  equal(pidsOf([one(103, 1, { group: 100 })]), [100, 103])
})

members('never include a process that reuses a pid, or its descendants', () => {
  const later = one(103, 1, { start: 'later' })
  equal(
    pidsOf(
      [one(100, 50), later, one(104, 103)],
      [
        [100, 's100'],
        [103, 's103'],
      ],
    ),
    [100],
  )
  const newRoot = one(100, 1, { start: 'later' })
  equal(
    pidsOf([newRoot, one(105, 100), one(106, 1, { group: 100 })]),
    [100],
    'the root itself is not signalled by number',
  )
})

members('are all marked processes and their descendants', () => {
  const listed = [one(100, 50), one(200, 1), one(201, 200), one(300, 1)]
  const found = membersOf(listed, 100, new Map(), (pid) => pid === 200)
  equal([...found.keys()].sort(), [100, 200, 201])
})

members('never include this process', () => {
  equal(pidsOf([one(process.pid, 100, { group: 100 }), one(100, 50)]), [100])
})

members.run()

const listing = suite('the list of processes')

listing('is the same from /proc and from ps', async () => {
  const mine = (listed: ListedProcess[]) => listed.find(({ pid }) => pid === process.pid)
  const { command, group, parent, pid, start } = mine(await listPs()) ?? {}
  equal(
    [command, parent, pid, Boolean(start)],
    [process.platform === 'linux' ? mine(listProc())?.command : command, process.ppid, process.pid, true],
  )
  is(group, Number(execFileSync('ps', ['-o', 'pgid=', '-p', String(process.pid)], { encoding: 'utf8' })))
  if (process.platform !== 'linux') return
  const { start: ticks, session, ...proc } = mine(listProc()) ?? {}
  equal(proc, { command, group, parent, pid })
  ok(ticks && session)
})

listing.run()
