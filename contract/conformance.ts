import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import * as z from 'zod'
import { generatedPage, table } from './pages.ts'

const text = z.string().min(1)

/** A test by its file below `test/`, without `.test.ts`, and its title. */
const namedTest = z.record(text, text).refine((named) => Object.keys(named).length === 1, 'must name one test')

const rowSchema = z
  .strictObject({
    /** Number or heading in the document that asks for it; left out for rules of our own. */
    requirement: text.optional(),
    ruling: text,
    tests: z.array(namedTest).min(1).optional(),
    /** Why a part of the ruling has no test. */
    untested: text.optional(),
  })
  .refine(({ tests, untested }) => tests !== undefined || untested !== undefined, 'must name a test or say why not')

const chapterSchema = z.strictObject({
  title: text,
  sources: z.array(text).min(1),
  sections: z.array(z.strictObject({ title: text, rows: z.array(rowSchema).min(1) })).min(1),
})

export type Chapter = z.infer<typeof chapterSchema>
export type ConformanceRow = z.infer<typeof rowSchema>

/** The documents that state requirements, in the order of the page. */
const chapters = ['locks', 'runs', 'turns'] as const
export type ChapterName = (typeof chapters)[number]

/** The rows of `contract/conformance/<name>.yaml`. */
export function conformanceOf(name: ChapterName): Chapter {
  return chapterSchema.parse(parse(readFileSync(new URL(`./conformance/${name}.yaml`, import.meta.url), 'utf8')))
}

/** Every row of a chapter, in order. */
export function rowsOf(name: ChapterName): ConformanceRow[] {
  return conformanceOf(name).sections.flatMap(({ rows }) => rows)
}

/** `docs/conformance.md`: each requirement, how Lockstep rules on it, and the tests that show it. */
export function conformancePage(): string {
  return generatedPage(`# Conformance

What each requirement asks for, how Lockstep fulfils it, and which tests show it. The rows are kept in
\`contract/conformance/\`. A test checks that every test named here exists. Each test is named by its
file below \`test/\`, without \`.test.ts\`, and its title; \`…\` in a title stands for varying text.

${chapters.map((name) => chapterText(conformanceOf(name))).join('\n\n')}
`)
}

function chapterText({ sections, sources, title }: Chapter): string {
  const from = sources.map((source) => `- ${source}.`).join('\n')
  return [`## ${title}`, `Sources:\n\n${from}`, ...sections.map(sectionText)].join('\n\n')
}

function sectionText({ rows, title }: Chapter['sections'][number]): string {
  const isNumbered = rows.some(({ requirement }) => requirement !== undefined)
  const head = [...(isNumbered ? ['requirement'] : []), 'ruling', 'tests']
  const cells = rows.map((row) => [...(isNumbered ? [row.requirement ?? ''] : []), row.ruling, testsText(row)])
  return `### ${title}\n\n${table(
    head,
    cells.map((row) => `| ${row.join(' | ')} |`),
  )}`
}

function testsText({ tests = [], untested }: ConformanceRow): string {
  const named = tests.flatMap((test) => Object.entries(test).map(([file, title]) => `\`${file}\` ${title}`))
  return [...named, ...(untested === undefined ? [] : [untested])].join('<br>')
}
