import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import type { Reactor } from '../../src/files/reactor.ts'
import { Reactors } from '../../src/files/runner.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { ListedLog } from './followed-log.ts'

const runner = suite('reactors')

/** A reactor that says what it handles, and cannot handle the streams it is told to fail on. */
function recording(handle: (entry: Entry) => Promise<'done' | 'left'> = async () => 'done') {
  const handled: number[] = []
  const failing = new Set<string>()
  const reactor: Reactor = {
    name: 'recording',
    concerns: ({ stream }) => !stream.startsWith('other'),
    handle: async (entry) => {
      if (failing.has(entry.stream)) throw new Error(`${entry.stream} cannot be written`)
      const outcome = await handle(entry)
      handled.push(entry.seq)
      return outcome
    },
  }
  return { reactor, handled, failing }
}

runner('handle the entries that concern them once, in order, and skip the rest', async () => {
  const log = new ListedLog()
  const { reactor, handled } = recording()
  const reactors = new Reactors([reactor], log)
  reactors.published(log.append('a', 'other'))
  reactors.published(log.append('other', 'other'))
  reactors.published(log.append('b'))
  is(await reactors.drained(), 'current')
  equal(handled, [0, 4])
  equal(reactors.cursors(), { recording: 5 })
  reactors.published(log.append('other'))
  equal(reactors.cursors(), { recording: 6 }, 'without any work')
})

runner('handle entries published while they are busy afterwards, in order, one at a time', async () => {
  const log = new ListedLog()
  const gates: (() => void)[] = []
  let busy = 0
  const { reactor, handled } = recording(async () => {
    busy += 1
    is(busy, 1, 'two at once')
    await new Promise<void>((resolve) => gates.push(resolve))
    busy -= 1
    return 'done'
  })
  const reactors = new Reactors([reactor], log)
  reactors.published(log.append('a'))
  while (gates.length === 0) await new Promise(setImmediate)
  reactors.published(log.append('b'))
  reactors.published(log.append('other'))
  reactors.published(log.append('a', 'c'))
  const drained = reactors.drained()
  for (let open = 0; open < 4; open += 1) {
    while (gates.length === open) await new Promise(setImmediate)
    equal(reactors.cursors(), { recording: [0, 1, 3, 4][open] }, 'the cursor is not past what is under way')
    gates[open]?.()
  }
  is(await drained, 'current')
  equal(handled, [0, 1, 3, 4])
})

runner('hold back only the entries of a stream with a failure', async () => {
  const log = new ListedLog()
  const { reactor, handled, failing } = recording()
  const reactors = new Reactors([reactor], log)
  failing.add('a')
  reactors.published(log.append('a', 'b', 'a', 'c'))
  is(await reactors.drained(), 'pending')
  equal(handled, [1, 3])
  equal(reactors.cursors(), { recording: 0 }, 'a restart begins at what is owed')
  failing.clear()
  is(await reactors.drained(), 'current')
  equal(handled, [1, 3, 0, 2])
  equal(reactors.cursors(), { recording: 4 })
})

runner('continue from their cursor, however far it lags, and handle some entries again', async () => {
  const log = new ListedLog(1)
  log.append('a', 'b', 'c', 'd')
  const { reactor, handled } = recording()
  const reactors = new Reactors([reactor], log)
  is(await reactors.drained(), 'current')
  equal(handled, [1, 2, 3])
})

runner('report once what is left to a person, and do not retry it', async () => {
  const log = new ListedLog()
  const { reactor, handled } = recording(async ({ stream }) => (stream === 'a' ? 'left' : 'done'))
  const reactors = new Reactors([reactor], log)
  reactors.published(log.append('a', 'b'))
  is(await reactors.drained(), 'pending')
  is(await reactors.drained(), 'current')
  equal(handled, [0, 1])
})

runner('stop quietly once the log is closed', async () => {
  const log = new ListedLog()
  const { reactor, handled } = recording()
  const reactors = new Reactors([reactor], log)
  log.append('a')
  log.isClosed = true
  is(await reactors.drained(), 'pending')
  equal(handled, [])
})

runner('are independent: the failure of one blocks no other', async () => {
  const log = new ListedLog()
  const [first, second] = [recording(), recording()]
  first.failing.add('a')
  const reactors = new Reactors([first.reactor, { ...second.reactor, name: 'second' }], log)
  reactors.published(log.append('a'))
  is(await reactors.drained(), 'pending')
  equal(second.handled, [0])
  equal(reactors.cursors(), { recording: 0, second: 1 })
})

runner.run()
