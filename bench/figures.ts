/** The bar of a figure. `--check` checks ratios. Absolute bars depend on the machine and are only shown. */
export interface Bar {
  kind: 'absolute' | 'ratio'
  at_least?: number
  at_most?: number
}

/** One number of a bench, and the data that it was computed from. Latencies are in milliseconds. */
export interface Figure {
  what: string
  value: number
  unit: string
  p50_ms?: number
  p99_ms?: number
  max_ms?: number
  samples?: number
  note?: string
  bar?: Bar
}

/** The value at a fraction of the sorted samples, by the nearest rank. */
export function percentile(samples: readonly number[], fraction: number): number {
  const sorted = samples.toSorted((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN
}

export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5)
}

/** p50, p99, maximum and number of latencies, for a figure. */
export function latencies(
  millis: readonly number[],
): Required<Pick<Figure, 'max_ms' | 'p50_ms' | 'p99_ms' | 'samples'>> {
  return {
    p50_ms: percentile(millis, 0.5),
    p99_ms: percentile(millis, 0.99),
    max_ms: percentile(millis, 1),
    samples: millis.length,
  }
}

/** Whether a figure meets its bar. A figure without a bar always does. */
export function meets({ bar, value }: Figure): boolean {
  if (bar === undefined) return true
  return value >= (bar.at_least ?? Number.NEGATIVE_INFINITY) && value <= (bar.at_most ?? Number.POSITIVE_INFINITY)
}

/** A figure as one line for people. */
export function lineOf(figure: Figure): string {
  const { bar, note, samples, unit, what } = figure
  const times = (['p50', 'p99', 'max'] as const).flatMap((name) => {
    const millis = figure[`${name}_ms`]
    return millis === undefined ? [] : [`${name} ${rounded(millis)} ms`]
  })
  const count = samples === undefined ? [] : [`${samples} samples`]
  const limit = bar?.at_least === undefined ? `at most ${bar?.at_most}` : `at least ${bar.at_least}`
  const verdict = bar === undefined ? [] : [`${meets(figure) ? 'met' : 'MISSED'}: ${limit}`]
  const remarks = [...times, ...count, ...(note === undefined ? [] : [note]), ...verdict].join(', ')
  return `  ${what.padEnd(46)} ${rounded(figure.value).padStart(10)} ${unit.padEnd(10)} ${remarks}`.trimEnd()
}

/** A number with at least three significant digits and with separators between thousands. */
export function rounded(value: number): string {
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 1 : Math.abs(value) >= 10 ? 2 : 3
  return digits === 0 ? Math.round(value).toLocaleString('en-US') : value.toFixed(digits)
}
