// limit: 240
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { spread } from '../support/bundle.ts'
import { lockstep } from '../support/command.ts'
import { bundlesIn } from '../support/exports.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { archiveCase, growthCase, handedOut, mutatedCases, proofCase } from '../support/page-cases.ts'
import { randomBelow } from '../support/seed.ts'
import { askScript, browserHere, checked, openPage } from '../support/verify-page.ts'

const browsers = suite('the page in Chromium, from a file')
const withBundles = bundlesIn(browsers)
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 6)
let chromium: Browser | undefined

browsers.before(async () => {
  chromium = await browserHere()
})
browsers.after(() => chromium?.close())

/** Runs where there is a browser. */
function inBrowser(
  title: string,
  work: (browser: Browser, stage: Parameters<Parameters<typeof withBundles>[1]>[0]) => Promise<void>,
) {
  withBundles(title, async (stage) => {
    if (chromium !== undefined) await work(chromium, stage)
  })
}

inBrowser('has the verdicts of our verifiers, on honest and changed evidence', async (browser, stage) => {
  const vkey = stage.vkey.trim()
  const folder = temporaryRoot()
  const file = join(folder, 'verify page.html')
  is((await lockstep(['verify', '--page', file])).status, 0)
  const { ask, errors, page } = await openPage(browser, { file })
  const made = await stage.create({ case_id: 'CASE-17' })
  const all = await handedOut(stage.ledger, made.file)
  const archive = { bytes: readFileSync(made.file), name: 'bundle.tar.gz' }
  const random = randomBelow('the page in Chromium')
  const cases = await mutatedCases(all, { folder, random, rounds, vkey })
  for (const key of [vkey, '']) {
    cases.push(await proofCase('proof', all.proof, key), await growthCase('growth', all.growth, key))
    cases.push(await archiveCase('bundle', archive, made.file, key))
  }
  for (const { evidence, expected, key, title } of cases) {
    const found = await ask(evidence, key)
    is(found.verdict, expected.verdict, title)
    equal(found, await askScript(evidence, key.trim()), title)
  }
  await page.click('#clear')
  await page.fill('#key', vkey)
  await page.setInputFiles('#folder', spread(all.bundle, join(folder, 'unpacked')))
  equal(await checked(page), { failed: undefined, verdict: 'verified' }, 'an unpacked folder')
  equal(errors, [])
  await page.close()
})

inBrowser('can be used by keyboard and by drop, and shows hostile text as text', async (browser, stage) => {
  const { errors, page } = await openPage(browser, { width: 360 })
  const { ledger } = stage
  const hostile = '<img src=x onerror=alert(1)>\u202e\u0007</script>'
  const appended = await ledger.audit.append({
    events: [{ action_type: 'system', outcome: 'success', outcome_reason: '<b>bold</b><script>1</script>' }],
  })
  const text = JSON.stringify(await ledger.log.prove({ seq: appended.events[0]?.seq ?? 0 }))

  await page.focus('#key')
  await page.keyboard.insertText(stage.vkey)
  const names: string[] = []
  for (let at = 0; at < 5; at += 1) {
    await page.keyboard.press('Tab')
    names.push(await page.evaluate<string>('document.activeElement.textContent'))
  }
  equal(names, [
    'Choose files',
    'Choose a folder',
    'Paste one proof, checkpoint or consistency proof as text',
    'Check',
    'Remove all evidence',
  ])
  await page.focus('summary')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Tab')
  await page.keyboard.insertText(text)
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  match((await page.textContent('#items')) ?? '', /^pasted text, \d+ bytes$/)
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#result:not([hidden])')
  equal(await page.textContent('#verdict'), 'Verified')
  is(await page.evaluate('document.activeElement.id'), 'verdict')
  match((await page.textContent('#entries')) ?? '', /<b>bold<\/b><script>1<\/script>/)
  is(await page.locator('#entries *').count(), 0)

  await page.click('#clear')
  const dropped = await page.evaluateHandle(`(() => {
    const transfer = new DataTransfer()
    transfer.items.add(new File(['{"leaf_hash":"a"}'], ${JSON.stringify(hostile)}))
    return transfer
  })()`)
  await page.dispatchEvent('#drop', 'drop', { dataTransfer: dropped })
  match(
    (await page.textContent('#items')) ?? '',
    /^<img src=x onerror=alert\(1\)>\\u\{202e\}\\u\{7\}<[:/]script>, \d+ bytes$/,
  )
  is(await page.locator('img').count(), 0)
  equal(await checked(page), { failed: 'document', verdict: 'failed' })
  // Nothing is wider than the screen, and every control has a name.
  ok(await page.evaluate<boolean>('document.documentElement.scrollWidth <= innerWidth'))
  const nameless = await page.evaluate(`[...document.querySelectorAll('button, textarea')].filter(
    (control) => !control.textContent && !control.ariaLabel && !document.querySelector('label[for=' + control.id + ']')).length`)
  is(nameless, 0)
  equal(errors, [])
  await page.close()
})

inBrowser('has no way to the network, to code from text, or to more than its bounds', async (browser) => {
  const { errors, page } = await openPage(browser)
  const answered: string[] = []
  page.on('requestfinished', (request) => answered.push(request.url()))
  const refused = new Set<string>()
  page.on('requestfailed', (request) => refused.add(request.failure()?.errorText ?? ''))
  const tries = await page.evaluate(`(() => {
    const failed = (work) => Promise.resolve().then(work).then(() => false, () => true)
    document.body.append(Object.assign(document.createElement('img'), { src: 'https://example.org/a.png' }))
    return Promise.all([
      failed(() => fetch('https://example.org/')),
      failed(() => { document.body.innerHTML = '<p>text</p>' }),
      failed(() => document.body.insertAdjacentHTML('beforeend', '<p>text</p>')),
    ])
  })()`)
  equal(tries, [true, true, true])
  ok(errors.length >= 3)
  equal([answered, [...refused]], [[], ['csp']])
  await page.setInputFiles(
    '#files',
    Array.from({ length: 101 }, (_, at) => ({ buffer: Buffer.from('a'), mimeType: 'text/plain', name: `${at}` })),
  )
  match((await page.textContent('#progress')) ?? '', /more than the page can check/)
  is(await page.textContent('#items'), '')
  await page.close()
})

browsers('says what is missing on a page from an insecure origin', async () => {
  if (chromium === undefined) return
  const page = await chromium.newPage()
  await page.route('http://ledger.example/*', (route) => {
    return route.fulfill({
      body: readFileSync(join(process.cwd(), 'src/cli/verify-page.html')),
      contentType: 'text/html',
    })
  })
  await page.goto('http://ledger.example/verify.html')
  match((await page.textContent('#notice')) ?? '', /^WebCrypto is missing/)
  await page.setInputFiles('#files', [{ buffer: Buffer.from('{}'), mimeType: 'text/plain', name: 'p' }])
  equal(await checked(page), { failed: 'platform', verdict: 'unable' })
  is(await page.textContent('#verdict'), 'Not checked')
  await page.close()
})

browsers.run()
