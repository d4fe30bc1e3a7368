package admin

import "sync"

// askedAtOnce is how many servers one request asks at the same time.
const askedAtOnce = 16

// each calls f for the numbers below n, several at a time, and returns when all
// calls have.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	free := make(chan struct{}, askedAtOnce)
	for i := range n {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			f(i)
		})
	}
	wg.Wait()
}
