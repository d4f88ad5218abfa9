package push

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/shared/ident"
)

// listen marks what events touch, until ctx ends or they can't be read.
func (k *Keeper[T]) listen(ctx context.Context) error {
	feed, err := k.Events.Follow(ctx, k.DB, event.Filter{Sight: event.Everything()})
	if err != nil {
		return err
	}
	defer feed.Close()
	nodes, err := k.Nodes.All(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		k.arrived(ctx, n.ID)
	}
	for {
		facts, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		if err := k.heed(ctx, facts); err != nil {
			return err
		}
	}
}

// heed marks what these events touch.
func (k *Keeper[T]) heed(ctx context.Context, facts []event.Event) error {
	everyone := false
	for _, e := range facts {
		touched := k.plan.Touches(e)
		switch {
		case e.Type == "node.deleted":
			k.book.forget(e.Node)
		case e.Type == "node.online":
			k.arrived(ctx, e.Node)
		case touched == Everyone:
			everyone = true
		case touched == ItsNode && e.Node != "":
			k.book.mark(e.Node)
		}
	}
	if !everyone {
		return nil
	}
	nodes, err := k.Nodes.All(ctx)
	for _, n := range nodes {
		k.book.mark(n.ID)
	}
	return err
}

// arrived is for a node that may have come online.
func (k *Keeper[T]) arrived(ctx context.Context, came ident.Node) {
	k.book.mark(came)
	if k.plan.Arrived != nil {
		k.tasks.Go(func() { k.plan.Arrived(ctx, came) })
	}
}

// pushDue pushes what is due until ctx ends. A node that is offline is due when it
// is back.
func (k *Keeper[T]) pushDue(ctx context.Context) {
	places := make(chan struct{}, pushesMost)
	for {
		select {
		case <-k.book.wake:
		case <-ctx.Done():
			return
		}
		if pause(ctx, gather) != nil {
			return
		}
		var online []ident.Node
		for _, n := range k.book.take() {
			if k.Fleet.Presence(n).Online {
				online = append(online, n)
			} else {
				k.book.settle(n, false)
			}
		}
		if len(online) == 0 {
			continue
		}
		made, broken := k.plan.Read(ctx)
		for _, n := range online {
			k.tasks.Go(func() {
				err := broken
				if err == nil {
					err = k.pushInPlace(ctx, places, n, made)
				}
				k.settle(ctx, n, err)
			})
		}
	}
}

// pushInPlace pushes once there is a place for it.
func (k *Keeper[T]) pushInPlace(ctx context.Context, places chan struct{}, to ident.Node, made Make[T]) error {
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-places }()
	return k.push(ctx, to, made)
}

// settle marks a node again whose push has failed, after a while.
func (k *Keeper[T]) settle(ctx context.Context, to ident.Node, err error) {
	failed := err != nil && k.Fleet.Presence(to).Online
	again := k.book.settle(to, failed)
	if again == 0 || ctx.Err() != nil {
		return
	}
	k.Log.Warn("a node could not be told "+k.plan.What+"; it is tried again", "node", string(to), "error", err)
	if pause(ctx, again) == nil {
		k.book.mark(to)
	}
}

// Push sees to it that the node holds what it should now, for an order that needs
// it: a node that is away, and one that refuses, is the error.
func (k *Keeper[T]) Push(ctx context.Context, to ident.Node) error {
	made, err := k.plan.Read(ctx)
	if err != nil {
		return err
	}
	return k.push(ctx, to, made)
}

// push sends a node its copy, unless it has it.
func (k *Keeper[T]) push(ctx context.Context, to ident.Node, made Make[T]) error {
	leave, err := k.book.enter(ctx, to)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, pushWithin)
	defer cancel()
	now := sent{since: k.Fleet.Presence(to).Since}
	copied, err := made(ctx, to)
	if err != nil {
		return err
	}
	text, err := json.Marshal(copied)
	if err != nil {
		return fmt.Errorf("encode %s: %w", k.plan.What, err)
	}
	now.sum = sha256.Sum256(text)
	if last, told := k.book.last(to); told && last.since.Equal(now.since) && last.sum == now.sum {
		return nil
	}
	k.book.keep(to, nil) // a push that breaks off may have reached the node
	var held int64
	for range 2 { // once more when the node holds one of a later clock
		revision := k.book.next(k.Now(), held)
		if held, err = k.plan.Send(ctx, to, copied, revision); err != nil {
			return err
		}
		if held == revision {
			k.book.keep(to, &now)
			return nil
		}
	}
	return fmt.Errorf("the node holds revision %d of %s", held, k.plan.What)
}
