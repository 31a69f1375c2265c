// A whole application: it creates users, and takes orders that it undoes when the card is declined.
package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
)

// Call is what Atomic posts; Payload is what the workflow or step was posted with.
type Call struct {
	IdempotencyKey string
	Payload        map[string]any
}

var options = map[string]any{"retry": map[string]any{"count": 10, "backOff": 200}, "attemptTimeout": 5000}

// -- Creating a user ------------------------------------------------------------------------------

// Your application's API: starts the workflow, and waits for it, up to 8 s.
func createUserEndpoint(w http.ResponseWriter, r *http.Request) {
	var user map[string]any
	if err := json.NewDecoder(r.Body).Decode(&user); err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	key, path := fmt.Sprint(user["idempotencyKey"]), "/workflows/userCreation/index"
	delete(user, "idempotencyKey")
	created := PostWorkflow(nil, "createUser", path, key, user, map[string]any{"timeout": 8000})
	if created.Code != 200 {
		created.PassOn(w)
		return
	}
	answer(w, map[string]any{"run": created.ID, "user": created.Response})
}

// The workflow. It runs from its top whenever Atomic calls it; steps that have ended do not.
func createUserWorkflow(w http.ResponseWriter, r *http.Request, call Call) {
	steps := "/workflows/userCreation/steps"
	user := PerformWorkflowStep(r, steps+"/createUser", call.IdempotencyKey, call.Payload, options)
	if user.Code != 200 {
		user.PassOn(w)
		return
	}
	var both [2]Outcome
	var group sync.WaitGroup
	for i, name := range []string{"/sendEmail", "/sendAnalytics"} {
		i, name := i, name
		group.Add(1)
		go func() {
			defer group.Done()
			both[i] = PerformWorkflowStep(r, steps+name, call.IdempotencyKey, user.Response, options)
		}()
	}
	group.Wait()
	for _, step := range both {
		if step.Code != 200 {
			step.PassOn(w)
			return
		}
	}
	answer(w, user.Response)
}

// Its steps. key is the step's own: the same at every attempt, and of no other step.
func createUserDBStep(call Call, key string) (any, error) {
	call.Payload["userId"] = random()
	return once(key, "users", call.Payload)
}

func createUserEmailStep(call Call, key string) (any, error) {
	text := fmt.Sprintf("Welcome, %v", call.Payload["userName"])
	return once(key, "mails", map[string]any{"to": call.Payload["email"], "text": text})
}

func createUserAnalyticsStep(call Call, key string) (any, error) {
	event := fmt.Sprintf("user %v created", call.Payload["userId"])
	return once(key, "analytics", map[string]any{"event": event})
}

// -- Taking an order ------------------------------------------------------------------------------

// A workflow that undoes what it did. With Suspend it waits for no step.
func orderWorkflow(w http.ResponseWriter, r *http.Request, call Call) {
	Suspend(r)
	steps, status := "/workflows/order/steps", "confirmed"
	step := PerformWorkflowStep(r, steps+"/reserveStock", call.IdempotencyKey, call.Payload, options)
	if step.Code == 200 {
		stop := map[string]any{"retry": map[string]any{"stopOn": []int{402}}, "attemptTimeout": 5000}
		step = PerformWorkflowStep(r, steps+"/chargeCard", call.IdempotencyKey, call.Payload, stop)
		if step.Code == 424 && step.LastAttempt.HTTPStatus == 402 {
			status = "declined"
			step = PerformWorkflowStep(r, steps+"/releaseStock", call.IdempotencyKey, call.Payload, options)
		}
	}
	if step.Code != 200 {
		step.PassOn(w)
		return
	}
	answer(w, map[string]string{"status": status})
}

var errDeclined = errors.New("card declined")

func chargeCardStep(call Call, key string) (any, error) {
	if call.Payload["card"] == "declined" {
		return nil, errDeclined
	}
	return once(key, "charges", call.Payload)
}

func reserveStockStep(call Call, key string) (any, error) {
	return nil, os.WriteFile(row("reserved", fmt.Sprint(call.Payload["item"])), nil, 0o600)
}

func releaseStockStep(call Call, key string) (any, error) {
	err := os.Remove(row("reserved", fmt.Sprint(call.Payload["item"])))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return nil, err
}

// -- The database ---------------------------------------------------------------------------------

// A folder for each table, in it a file for each effect, named by its step's key. A file comes into
// being whole and once: the effect and the note that it was done are one.
var tables = []string{"users", "mails", "analytics", "reserved", "charges"}

func row(table, name string) string {
	return filepath.Join(or(os.Getenv("APP_DATA"), "data"), table, url.QueryEscape(name))
}

func once(key, table string, effect any) (json.RawMessage, error) {
	written, err := json.Marshal(effect)
	if err != nil {
		return nil, err
	}
	draft, file := row("", random()), row(table, key)
	if err := os.WriteFile(draft, written, 0o600); err != nil {
		return nil, err
	}
	defer os.Remove(draft)
	if err := os.Link(draft, file); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(file)
}

func random() string {
	bytes := make([]byte, 8)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return fmt.Sprintf("%x", bytes)
}

// -- HTTP -----------------------------------------------------------------------------------------

func workflow(work func(http.ResponseWriter, *http.Request, Call)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var call Call
		if !Signed(r) {
			http.Error(w, "Atomic has not signed this", 401)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		work(w, r, call)
	}
}

func step(work func(Call, string) (any, error)) http.HandlerFunc {
	return workflow(func(w http.ResponseWriter, r *http.Request, call Call) {
		response, err := work(call, r.Header.Get("Idempotency-Key"))
		switch {
		case err == nil:
			answer(w, response)
		case errors.Is(err, errDeclined):
			http.Error(w, err.Error(), 402)
		default:
			http.Error(w, err.Error(), 500)
		}
	})
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Print(err)
	}
}

func count(w http.ResponseWriter, _ *http.Request) {
	counts := map[string]int{}
	for _, table := range tables {
		rows, _ := os.ReadDir(row(table, ""))
		counts[table] = len(rows)
	}
	answer(w, counts)
}

func main() {
	for _, table := range tables {
		if err := os.MkdirAll(row(table, ""), 0o700); err != nil {
			log.Fatal(err)
		}
	}
	http.HandleFunc("/", count)
	http.HandleFunc("/users", createUserEndpoint)
	http.HandleFunc("/workflows/userCreation/index", workflow(createUserWorkflow))
	http.HandleFunc("/workflows/userCreation/steps/createUser", step(createUserDBStep))
	http.HandleFunc("/workflows/userCreation/steps/sendEmail", step(createUserEmailStep))
	http.HandleFunc("/workflows/userCreation/steps/sendAnalytics", step(createUserAnalyticsStep))
	http.HandleFunc("/workflows/order/index", workflow(orderWorkflow))
	http.HandleFunc("/workflows/order/steps/reserveStock", step(reserveStockStep))
	http.HandleFunc("/workflows/order/steps/chargeCard", step(chargeCardStep))
	http.HandleFunc("/workflows/order/steps/releaseStock", step(releaseStockStep))
	address := or(os.Getenv("APP_HOST"), "127.0.0.1") + ":" + or(os.Getenv("APP_PORT"), "9000")
	fmt.Println("listening at http://" + address)
	log.Fatal(http.ListenAndServe(address, nil))
}
