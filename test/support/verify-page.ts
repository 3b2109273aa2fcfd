import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { runInThisContext } from 'node:vm'
import { type Browser, chromium, type Page } from 'playwright-core'
import { root } from '../runner.ts'

const pageFile = join(root, 'src/cli/verify-page.html')
export const pageText = readFileSync(pageFile, 'utf8')

/** A file that somebody hands to the page. */
export interface Evidence {
  name: string
  bytes: Uint8Array | string
}

/** What the page says: its verdict, and the check of the step that failed. */
export interface PageVerdict {
  verdict: string
  failed: string | undefined
}

/** A page to ask: its script in this process, or all of it in a browser. */
export type AskPage = (evidence: readonly Evidence[], key: string) => Promise<PageVerdict>

/** What the script of the page answers with. */
export interface PageReport {
  claimed: string[]
  entries: string[]
  open: string[]
  proven: string[]
  steps: { check: string; detail: string; outcome: string; title: string }[]
  verdict: string
}
type Check = (files: File[], line: string, tell: (text: string) => void) => Promise<PageReport>

const [, script = ''] = /<script type="module">([\s\S]*?)<\/script>/.exec(pageText) ?? []
const check = runInThisContext(`(() => { 'use strict'\n${script}\nreturn check })()`, { filename: pageFile }) as Check

/** The whole report of the page's script, which runs in this process: it needs no browser until it shows something. */
export function reportOf(evidence: readonly Evidence[], key: string): Promise<PageReport> {
  const files = evidence.map(({ bytes, name }) => new File([bytes as Uint8Array<ArrayBuffer>], name))
  return check(files, key, () => {})
}

export const askScript: AskPage = async (evidence, key) => {
  const { steps, verdict } = await reportOf(evidence, key)
  return { failed: steps.find(({ outcome }) => outcome === 'Failed')?.check, verdict }
}

/** Debian's Chromium; undefined, with one line that says so, where it is missing. */
export async function browserHere(): Promise<Browser | undefined> {
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path))
  if (executablePath === undefined) {
    console.log('chromium is not installed: the page is checked without a browser')
    return undefined
  }
  return chromium.launch({ args: process.getuid?.() === 0 ? ['--no-sandbox'] : [], executablePath })
}

/** The page in a tab of the browser, opened from its file. Anything that it reports as an error is in `errors`. */
export async function openPage(
  browser: Browser,
  options: { colorScheme?: 'dark' | 'light'; file?: string; height?: number; width?: number } = {},
): Promise<{ ask: AskPage; errors: string[]; page: Page }> {
  const { colorScheme = 'light', file = pageFile, height = 900, width = 1_280 } = options
  const page = await browser.newPage({ colorScheme, viewport: { height, width } })
  const errors: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text())
  })
  page.on('pageerror', ({ message }) => errors.push(message))
  await page.goto(pathToFileURL(file).href)
  const ask: AskPage = async (evidence, key) => {
    await page.click('#clear')
    await page.fill('#key', key)
    const files = evidence.map(({ bytes, name }) => {
      return { buffer: Buffer.from(bytes), mimeType: 'application/octet-stream', name }
    })
    await page.setInputFiles('#files', files)
    return checked(page)
  }
  return { ask, errors, page }
}

/** Presses the button, and reads what the page says then. */
export async function checked(page: Page): Promise<PageVerdict> {
  await page.click('#check')
  await page.waitForSelector('#result:not([hidden])')
  const verdict = (await page.getAttribute('#verdict', 'class')) ?? ''
  const [failed] = await page.$$eval('#steps .Failed', (steps) => steps.map(({ className }) => className.split(' ')[1]))
  return { failed, verdict }
}
