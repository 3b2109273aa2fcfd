import { mock } from 'node:test'
import { suite } from 'uvu'
import { is } from 'uvu/assert'
import { startTimer } from '../../src/supervise/waiting.ts'

const timer = suite('a timer of the command')
const dayMillis = 86_400_000

/** Starts one for so many days, with a clock that is told to go on. */
function withTimer(
  days: number,
  work: (timer: { calls: () => number; pass: (days: number) => void; stop: () => void }) => void,
) {
  const { now } = performance
  let passed = 0
  performance.now = () => passed
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    let calls = 0
    const stop = startTimer(days * dayMillis, () => {
      calls += 1
    })
    const pass = (more: number) => {
      for (let hour = 0; hour < more * 24; hour += 1) {
        passed += dayMillis / 24
        mock.timers.tick(dayMillis / 24)
      }
    }
    work({ calls: () => calls, pass, stop })
  } finally {
    mock.timers.reset()
    performance.now = now
  }
}

for (const days of [1, 24, 25, 60]) {
  timer(`of ${days} days calls back then, once, and not before`, () => {
    withTimer(days, ({ calls, pass }) => {
      pass(days - 1 / 24)
      is(calls(), 0)
      pass(1 / 24)
      is(calls(), 1)
      pass(days)
      is(calls(), 1)
    })
  })
}

timer('does not fire after it was stopped, however far it had come', () => {
  for (const after of [0, 10, 40]) {
    withTimer(60, ({ calls, pass, stop }) => {
      pass(after)
      stop()
      pass(60)
      is(calls(), 0)
    })
  }
})

timer.run()
