import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { problemText } from '../domain/policy/document.ts'
import { readPolicyFile } from '../files/policy/policy-file.ts'
import { invalidPolicy } from '../files/policy/policy-files.ts'
import { limits } from '../kernel/limits.ts'
import { type Difference, differences, tableOf } from '../nouns/policy/policy-test.ts'
import { readInput } from './input-file.ts'
import { policyIn, promotionRole } from './policy-texts.ts'
import { local, text, texts } from './verb.ts'

interface Tested {
  cases: number
  differences: Difference[]
  files: string[]
}

/** The exit code of a table with another decision than it expects. */
const exitDifferent = 1

export function testVerb(): Command {
  return local('test', 'Checks the decisions of policy files against tables of expected ones. Needs no ledger.', {
    more: 'A table is a YAML file with cases. The exit code is 1 if a decision is not the expected one.',
    own: {
      files: { ...texts('<files...>', 'the tables'), isRequired: true },
      policy: text('--policy <folder>', 'the folder of lanes.yaml and roles.yaml (default: what the table says)'),
      promotionRole,
    },
    errors: ['POLICY_INVALID', 'NOT_FOUND', 'FILE_DENIED', 'INVALID_INPUT'],
    run: async ({ given: { files = [], policy, promotionRole } }): Promise<Tested> => {
      const tested = files.map((file) => testedFile(file, { folder: policy, promotionRole }))
      return {
        cases: tested.reduce((sum, { cases }) => sum + cases, 0),
        differences: tested.flatMap((one) => one.differences),
        files: [...files],
      }
    },
    lines: ({ cases, differences }) => [
      ...differences.map((one) => `${problemText({ ...one, message: one.name })}: ${one.message}`),
      `${cases - differences.length} of ${cases} decisions are as expected`,
    ],
    exit: ({ differences }) => (differences.length === 0 ? 0 : exitDifferent),
    examples: ['lockstep policy test tests.yaml', 'lockstep policy test tests.yaml --policy contract/v1/policy --json'],
  })
}

function testedFile(
  file: string,
  { folder, promotionRole }: { folder: string | undefined; promotionRole: readonly string[] | undefined },
): Pick<Tested, 'cases' | 'differences'> {
  const read = readPolicyFile({ file, bytes: readInput(file, limits.policyFileBytes) })
  if ('problems' in read) throw invalidPolicy(read.problems)
  const { document } = read
  const found = tableOf(document)
  if ('problems' in found) throw invalidPolicy(found.problems)
  const { table } = found
  const policy = policyIn(folder ?? resolve(dirname(file), table.policy ?? '.'), promotionRole)
  return { cases: table.cases.length, differences: differences(policy, table, document) }
}
