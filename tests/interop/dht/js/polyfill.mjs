// SPDX-License-Identifier: Apache-2.0
// js-libp2p wants a newer Node than Debian's: what Node 20 lacks.
Promise.withResolvers ??= function () {
  let resolve
  let reject
  const promise = new this((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

Promise.try ??= function (fn, ...args) {
  return new this((resolve) => resolve(fn(...args)))
}

Array.fromAsync ??= async function (source) {
  const items = []
  for await (const item of source) items.push(item)
  return items
}
