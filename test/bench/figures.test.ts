import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { type Figure, latencies, lineOf, median, meets, percentile } from '../../bench/figures.ts'

const figures = suite('figures')

figures('take percentiles by the nearest rank', () => {
  const samples = Array.from({ length: 100 }, (_, index) => 100 - index)
  is(percentile(samples, 0.5), 51)
  is(percentile(samples, 0.99), 100)
  is(percentile(samples, 1), 100)
  is(median([3, 1, 2]), 2)
  is(median([7]), 7)
  is(Number.isNaN(median([])), true)
  equal(latencies([1, 2, 3, 4]), { p50_ms: 3, p99_ms: 4, max_ms: 4, samples: 4 })
})

figures('meet a bar at exactly its value, and not beyond it', () => {
  const figure = (value: number, bar?: Figure['bar']): Figure => ({ what: 'x', unit: 'ms', value, ...(bar && { bar }) })
  is(meets(figure(1)), true)
  is(meets(figure(0.6, { kind: 'ratio', at_least: 0.6 })), true)
  is(meets(figure(0.59, { kind: 'ratio', at_least: 0.6 })), false)
  is(meets(figure(200, { kind: 'absolute', at_most: 200 })), true)
  is(meets(figure(200.1, { kind: 'absolute', at_most: 200 })), false)
  is(meets(figure(Number.NaN, { kind: 'ratio', at_least: 0.6 })), false)
})

figures('print one line with what was measured and whether it meets the bar', () => {
  const bar = { kind: 'ratio', at_least: 0.6 } as const
  const line = lineOf({ what: 'ratio', value: 0.5, unit: 'yardsticks', p50_ms: 1.25, samples: 5, bar })
  match(line, /ratio +0\.500 yardsticks p50 1\.250 ms, 5 samples, MISSED: at least 0\.6$/)
  match(lineOf({ what: 'rate', value: 12_345.6, unit: 'entries/s' }), /rate +12,346 entries\/s$/)
})
figures.run()
