import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, not, ok } from 'uvu/assert'
import { lockstep } from '../support/command.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { pageText } from '../support/verify-page.ts'

const page = suite('lockstep verify --page')

page('writes the page of the package, says its SHA-256, and replaces no file', async () => {
  const folder = temporaryRoot()
  const file = join(folder, 'verify.html')
  const { json, status } = await lockstep(['verify', '--page', file], { cwd: folder })
  const sha256 = createHash('sha256').update(pageText).digest('hex')
  equal([status, json, readFileSync(file, 'utf8') === pageText], [0, { page: file, sha256 }, true])
  const again = await lockstep(['verify', '--page', file], { cwd: folder })
  equal([again.status, again.json.code, again.json.message], [2, 'INVALID_INPUT', `${file} already exists`])
  mkdirSync(join(folder, 'folder'))
  for (const to of ['folder', 'missing/verify.html']) {
    not.equal((await lockstep(['verify', '--page', to], { cwd: folder })).status, 0, to)
  }
})

page('takes no option of a verification', async () => {
  const folder = temporaryRoot()
  for (const more of [['--rebuild'], ['--key', 'a'], ['--checkpoint', 'a']]) {
    const { json, status } = await lockstep(['verify', '--page', 'verify.html', ...more], { cwd: folder })
    equal([status, json.code], [2, 'INVALID_INPUT'], more.join(' '))
  }
})

page('is short enough to be read: 400 lines of at most 120 characters', () => {
  const lines = pageText.trimEnd().split('\n')
  ok(lines.length <= 400, `${lines.length} lines`)
  equal(
    lines.filter((line) => line.length > 120),
    [],
  )
})

page('allows its own script and style alone, by their hashes, and no network', () => {
  const [, policy = ''] = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(pageText) ?? []
  const hashOf = (tag: string) => {
    const [, text = ''] = new RegExp(`<${tag}[^>]*>([\\s\\S]*?)</${tag}>`).exec(pageText) ?? []
    return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  }
  const directives = policy.split(';').map((directive) => directive.trim().replace(/\s+/g, ' '))
  equal(directives.sort(), [
    "base-uri 'none'",
    "default-src 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    `script-src ${hashOf('script')}`,
    `style-src ${hashOf('style')}`,
    "trusted-types 'none'",
  ])
  is(pageText.match(/<script/g)?.length, 1)
  is(pageText.match(/<style/g)?.length, 1)
})

page('contains nothing that loads, sends, navigates, or makes elements of text', () => {
  const [markup = ''] = pageText.split('<script')
  not.match(markup, /\s(?:src|href|action|style|on\w+)=/)
  not.match(
    pageText,
    /fetch|XMLHttp|WebSocket|EventSource|sendBeacon|importScripts|\bimport\b|innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|setTimeout|location|\bopen\(|localStorage|cookie|postMessage/,
  )
  match(pageText, /^<!doctype html>\n/)
})

page.run()
