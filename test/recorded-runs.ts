import { stripVTControlCharacters } from 'node:util'

/** Whether endless loops ran beside the tests. */
export type Load = 'idle' | 'loaded'

/** What one run of `npm test` came to. */
export interface Run {
  commit: string
  date: string
  load: Load
  passed: number
  failed: number
  seconds: number
  /** The files that failed, with what was wrong, and the titles of tests that failed. */
  failures: string[]
}

/** Every second run is loaded. */
export function loadOf(number: number): Load {
  return number % 2 === 0 ? 'loaded' : 'idle'
}

/** The counts in the output of a run and the names of its failures. Output without counts is one failure. */
export function resultIn(output: string): Pick<Run, 'passed' | 'failed' | 'failures'> {
  const text = stripVTControlCharacters(output)
  const [, passed, failed] = [...text.matchAll(/^(\d+) passed, (\d+) failed$/gm)].at(-1) ?? []
  const failures = [...text.matchAll(/^ *FAIL {2}.+$/gm)].map(([line]) => line.trim())
  if (passed === undefined) return { passed: 0, failed: 1, failures: [...failures, 'the tests did not end'] }
  return { passed: Number(passed), failed: Number(failed), failures }
}

/** Runs as a table for a document. */
export function tableOf(runs: readonly Run[]): string {
  const rows = runs.map(({ date, failed, failures, load, passed, seconds }, index) =>
    [index + 1, date.slice(0, 16).replace('T', ' '), load, passed, failed, `${seconds} s`, failures.join('; ')].join(
      ' | ',
    ),
  )
  const commit = runs[0]?.commit.slice(0, 9) ?? 'none'
  const head = ['| run | date (UTC) | machine | passed | failed | time | failures |', '|---|---|---|---|---|---|---|']
  return [`Commit \`${commit}\`:`, '', ...head, ...rows.map((row) => `| ${row} |`)].join('\n')
}
