// SPDX-License-Identifier: Apache-2.0

// A go-libp2p node with its Kademlia on our ids, told what to do line by line: JSON commands on standard input, one JSON
// answer a line on standard output, the first of them {"peerId", "addrs"}. The commands are those of ../js/peer.mjs.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

const timeout = 30 * time.Second

type command struct {
	Cmd   string `json:"cmd"`
	Addr  string `json:"addr"`
	Peer  string `json:"peer"`
	Key   string `json:"key"`
	Value string `json:"value"`
	Cid   string `json:"cid"`
}

type answer map[string]any

// Of two values the one that sorts later is the newer.
type laterWins struct{}

func (laterWins) Validate(string, []byte) error { return nil }

func (laterWins) Select(_ string, values [][]byte) (int, error) {
	if len(values) == 0 {
		return 0, errors.New("no values")
	}
	best := 0
	for i, value := range values {
		if bytes.Compare(value, values[best]) > 0 {
			best = i
		}
	}
	return best, nil
}

type node struct {
	host host.Host
	dht  *dht.IpfsDHT
}

func addrsOf(info peer.AddrInfo) []string {
	addrs := []string{}
	for _, a := range info.Addrs {
		addrs = append(addrs, a.String())
	}
	return addrs
}

func (n *node) dial(ctx context.Context, c command) (answer, error) {
	addr, err := ma.NewMultiaddr(c.Addr)
	if err != nil {
		return nil, err
	}
	info, err := peer.AddrInfoFromP2pAddr(addr)
	if err != nil {
		return nil, err
	}
	return answer{}, n.host.Connect(ctx, *info)
}

func (n *node) findPeer(ctx context.Context, c command) (answer, error) {
	p, err := peer.Decode(c.Peer)
	if err != nil {
		return nil, err
	}
	info, err := n.dht.FindPeer(ctx, p)
	return answer{"addrs": addrsOf(info)}, err
}

// Whom a put or an announcement reached go does not say: the peers nearest to the key stand for it.
func (n *node) nearest(ctx context.Context, key string) []string {
	peers, _ := n.dht.GetClosestPeers(ctx, key)
	names := []string{}
	for _, p := range peers {
		names = append(names, p.String())
	}
	return names
}

func (n *node) providers(ctx context.Context, c command) (answer, error) {
	id, err := cid.Decode(c.Cid)
	if err != nil {
		return nil, err
	}
	found, err := n.dht.FindProviders(ctx, id)
	providers := answer{}
	for _, info := range found {
		providers[info.ID.String()] = addrsOf(info)
	}
	return answer{"providers": providers}, err
}

func (n *node) run(c command) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	switch c.Cmd {
	case "dial":
		return n.dial(ctx, c)
	case "table":
		return answer{"size": n.dht.RoutingTable().Size()}, nil
	case "find_peer":
		return n.findPeer(ctx, c)
	case "put":
		err := n.dht.PutValue(ctx, c.Key, []byte(c.Value))
		return answer{"took": n.nearest(ctx, c.Key)}, err
	case "get":
		value, err := n.dht.GetValue(ctx, c.Key, dht.Quorum(0))
		return answer{"value": string(value)}, err
	case "provide":
		id, err := cid.Decode(c.Cid)
		if err != nil {
			return nil, err
		}
		return answer{}, n.dht.Provide(ctx, id, true)
	case "providers":
		return n.providers(ctx, c)
	case "refresh":
		return answer{}, <-n.dht.RefreshRoutingTable()
	case "stop":
		return answer{}, n.host.Close()
	}
	return nil, fmt.Errorf("no command %q", c.Cmd)
}

func start() (*node, error) {
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(),
	)
	if err != nil {
		return nil, err
	}
	d, err := dht.New(h,
		dht.ProtocolPrefix("/pangea"),
		dht.Mode(dht.ModeServer),
		dht.Validator(record.NamespacedValidator{
			"pk":   record.PublicKeyValidator{},
			"test": laterWins{},
		}),
	)
	return &node{host: h, dht: d}, err
}

func main() {
	n, err := start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	addrs := []string{}
	for _, a := range n.host.Addrs() {
		addrs = append(addrs, fmt.Sprintf("%s/p2p/%s", a, n.host.ID()))
	}
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(answer{"peerId": n.host.ID().String(), "addrs": addrs})
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var c command
		reply, err := answer(nil), json.Unmarshal(in.Bytes(), &c)
		if err == nil {
			reply, err = n.run(c)
		}
		if err != nil {
			reply = answer{"ok": false, "error": err.Error()}
		} else {
			reply["ok"] = true
		}
		_ = out.Encode(reply)
		if c.Cmd == "stop" {
			return
		}
	}
}
