package main // Atomic's helper: copy it into your application. Go 1.19 or newer, nothing else.
import "bytes"
import "encoding/json"
import "net/http"
import "os"

type Outcome struct { // what Atomic answered. Code 424: the step failed for good; compensate on nothing else
	Code        int `json:"-"`
	ID, Detail  string
	Response    json.RawMessage
	LastAttempt struct{ HTTPStatus int }
}

// PostWorkflow starts a workflow of this application, or joins it, and waits. from: nil outside of a call.
func PostWorkflow(from http.Header, name, path, key string, payload any, options map[string]any) (outcome Outcome) {
	url := or(os.Getenv("ATOMIC_URL"), "http://127.0.0.1:8420") + "/" + or(from.Get("Atomic-Client"), or(os.Getenv("ATOMIC_CLIENT"), "default"))
	post := map[string]any{"workflowName": name, "stepInvokeUrl": or(os.Getenv("APP_URL"), "http://127.0.0.1:9000") + path, "idempotencyKey": key, "payload": payload}
	for member, value := range options {
		post[member] = value
	}
	body, _ := json.Marshal(post)
	outcome.Code, outcome.Detail = 503, "no outcome from Atomic at "+url
	if request, err := http.NewRequest("POST", url, bytes.NewReader(body)); err == nil {
		request.Header = http.Header{"Content-Type": {"application/json"}, "Atomic-Parent": from["Atomic-Parent"], "Prefer": from["Prefer"]}
		if answer, err := http.DefaultClient.Do(request); err == nil {
			defer answer.Body.Close()
			outcome.Code, _ = answer.StatusCode, json.NewDecoder(answer.Body).Decode(&outcome)
		}
	}
	return outcome
}
func PerformWorkflowStep(r *http.Request, path, key string, payload any, options map[string]any) Outcome {
	return PostWorkflow(r.Header, r.Header.Get("Atomic-Workflow"), path, key, payload, options)
}
func (o Outcome) PassOn(w http.ResponseWriter) { // 424 ends the workflow; after 503 it is called again
	w.Header()["Atomic-Suspend"] = map[int][]string{202: {"true"}}[o.Code]
	http.Error(w, o.Detail, map[bool]int{true: 424, false: 503}[o.Code == 424])
}
func Suspend(r *http.Request)       { r.Header.Set("Prefer", "respond-async") } // wait for no step: 202
func or(value, other string) string { return map[bool]string{true: value, false: other}[value != ""] }
