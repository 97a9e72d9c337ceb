// SPDX-License-Identifier: Apache-2.0

// Boxo's Bitswap, which is kubo's, over the node of main.go. The commands are those of ../js/bitswap.mjs.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p/core/host"
	mh "github.com/multiformats/go-multihash"
	_ "github.com/multiformats/go-multihash/register/blake3"
)

type exchange struct {
	store   blockstore.Blockstore
	bitswap *bitswap.Bitswap
}

func newExchange(ctx context.Context, h host.Host) *exchange {
	store := blockstore.NewBlockstore(dssync.MutexWrap(datastore.NewMapDatastore()))
	return &exchange{store, bitswap.New(ctx, bsnet.NewFromIpfsHost(h), nil, store)}
}

// Block n of known content, as blocks.c has it.
func makeBlock(c command, number int) (blocks.Block, error) {
	data := make([]byte, c.Bytes)
	x := uint32(number)
	for i := range data {
		x = x*1664525 + 1013904223
		data[i] = byte(x >> 24)
	}
	code := uint64(mh.SHA2_256)
	if c.Hash == "blake3" {
		code = mh.BLAKE3
	}
	hash, err := mh.Sum(data, code, 32)
	if err != nil {
		return nil, err
	}
	if c.Hash == "v0" {
		return blocks.NewBlockWithCid(data, cid.NewCidV0(hash))
	}
	return blocks.NewBlockWithCid(data, cid.NewCidV1(cid.Raw, hash))
}

func (e *exchange) each(c command, fn func(blocks.Block) error) error {
	errs := make([]error, max(c.Count, 1))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			block, err := makeBlock(c, c.First+i)
			if err == nil {
				err = fn(block)
			}
			errs[i] = err
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (e *exchange) run(ctx context.Context, c command) (answer, error) {
	switch c.Cmd {
	case "blockPut":
		return answer{}, e.each(c, func(block blocks.Block) error {
			if err := e.store.Put(ctx, block); err != nil {
				return err
			}
			return e.bitswap.NotifyNewBlocks(ctx, block)
		})
	case "blockGet":
		return answer{}, e.each(c, func(block blocks.Block) error {
			got, err := e.bitswap.GetBlock(ctx, block.Cid())
			if err == nil && !bytes.Equal(got.RawData(), block.RawData()) {
				err = fmt.Errorf("block %s differs", block.Cid())
			}
			return err
		})
	}
	return nil, fmt.Errorf("no command %q", c.Cmd)
}
