import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { onAbort } from '../../src/kernel/abort.ts'
import { hold } from '../../src/lease.ts'
import { withLedger } from '../support/ledger.ts'
import { until } from './stage.ts'

const aborting = suite('waiting under a signal')
const waiters = 40

aborting('is no leak, however many wait under one, and ends for all of them', async () => {
  const warnings: string[] = []
  const warned = ({ name }: Error) => warnings.push(name)
  process.on('warning', warned)
  try {
    await withLedger(async (ledger) => {
      const { signal, stop } = controlled()
      await hold(ledger, { name: 'a', holder: 'first' })
      const acquires = Array.from({ length: waiters }, (_, index) =>
        hold(ledger, { name: 'a', holder: `h-${index}`, wait_s: 60 }, { signal }).catch(({ code }) => code),
      )
      await until('all wait', async () => (await ledger.locks.status({ name: 'a' })).waiting === waiters)
      const followed = Array.from({ length: waiters }, async () => {
        for await (const { type } of ledger.log.subscribe({}, { signal })) if (type === 'never') return 'never'
        return 'ended'
      })
      stop()
      equal(new Set(await Promise.all(acquires)), new Set(['ABORTED']))
      equal(new Set(await Promise.all(followed)), new Set(['ended']))
    })
    // Node warns in a turn of its own.
    await new Promise(setImmediate)
  } finally {
    process.removeListener('warning', warned)
  }
  equal(warnings, [])
})

function controlled(): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, stop: () => controller.abort() }
}

aborting('calls each listener once, none that stopped listening, and new ones of a signal that was left', () => {
  const { signal, stop } = controlled()
  const called: string[] = []
  onAbort(signal, () => called.push('left'))()
  const stopListening = onAbort(signal, () => called.push('stopped'))
  const same = () => called.push('same')
  onAbort(signal, same)
  onAbort(signal, same)
  stopListening()
  stop()
  onAbort(signal, () => called.push('late'))
  equal(called, ['same', 'same'])
  is(signal.aborted, true)
})

aborting.run()
