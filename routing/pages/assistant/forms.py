"""The forms of a question and of a support message."""

from django import forms

from routing.pages.assistant.models import MOST_MESSAGE, MOST_QUESTION


class QuestionForm(forms.Form):
    question = forms.CharField(
        label="Your question",
        max_length=MOST_QUESTION,
        error_messages={"required": "Type a question.", "max_length": f"At most {MOST_QUESTION} characters."},
    )
    previous = forms.CharField(required=False, max_length=MOST_QUESTION)  # the visitor's last question


class SupportForm(forms.Form):
    email = forms.EmailField(label="Your e-mail", help_text="The answer goes there.")
    message = forms.CharField(
        max_length=MOST_MESSAGE, widget=forms.Textarea, help_text="Never send an API key's secret."
    )
