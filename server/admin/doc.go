// Package admin is the admin page of an NSQ cluster: a page for people, the
// routes that feed it, and the routes of nsqadmin for scripts that know those.
//
// It asks nsqds and nsqlookupds over HTTP, ours or NSQ's own, and keeps nothing
// of theirs but what it was told last. One poll serves all who look: each second
// while somebody does, else each five.
//
//	a, err := admin.Start(admin.Options{
//		HTTPAddress:          "127.0.0.1:4171",
//		LookupdHTTPAddresses: []string{"127.0.0.1:4161"},
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer a.Close()
//
// What was polled belongs to a loop ([loop.Loop]), which makes a view of it that
// does not change any more. Handlers of requests run on goroutines of net/http,
// read the newest view, and ask the servers themselves for what is asked seldom.
//
// Routes under /api/ are nsqadmin's, in the shapes that it gives them. Routes
// under /api/v1/ are the page's own.
package admin
