// The steps of the matrix (../main.rs) with isomorphic-git.
import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'

// The packages are not beside this file but in the folder that this runs from.
const [packages, step, ...words] = process.argv.slice(2)
const require = createRequire(path.join(packages, 'package.json'))
const git = require('isomorphic-git')
const http = require('isomorphic-git/http/node')

const place = dir => ({ fs, http, dir, ...(fs.existsSync(path.join(dir, '.git')) ? {} : { gitdir: dir }) })

/** One push for each ref: it can do no more at once. */
async function push(dir, url, ...specs) {
  for (const spec of specs) {
    const [ref, remoteRef] = spec.replace(/^\+/, '').split(':')
    const order = { ...place(dir), url, remoteRef, force: spec.startsWith('+') }
    const result = await git.push(ref ? { ...order, ref } : { ...order, ref: remoteRef, delete: true })
    if (!result.ok) throw new Error(JSON.stringify(result))
  }
}

const steps = {
  async 'ls-remote'(url) {
    for (const { oid, ref } of await git.listServerRefs({ http, url })) console.log(`${oid}\t${ref}`)
  },
  clone: (url, dir) => git.clone({ fs, http, dir, url }),
  'clone-branch': (url, dir, ref) =>
    git.clone({ fs, http, dir, url, ref, singleBranch: true, noTags: true }),
  'clone-depth': (url, dir, depth) =>
    git.clone({ fs, http, dir, url, depth: Number(depth), singleBranch: true, noTags: true }),
  fetch: dir => git.fetch({ ...place(dir), remote: 'origin', tags: true }),
  deepen: (dir, depth) =>
    git.fetch({ ...place(dir), remote: 'origin', ref: 'main', singleBranch: true, depth: Number(depth) }),
  unshallow: dir => steps.deepen(dir, 2147483647),
  push,
}

await steps[step](...words)
